"""Our own repodata, made from the metadata of a real repository, and checked against it."""

from __future__ import annotations

import gzip
import hashlib
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from primary import P, write_filelists, write_primary

from builder.errors import Fault, StorageError, VerificationError
from builder.model.digest import Digest
from builder.model.rpm import Nevra
from builder.rpm import base
from builder.rpm.closure import PackageRequest, check_installable, solve
from builder.rpm.compression import unpack
from builder.rpm.repodata import MetadataFiles, parse_repomd
from builder.rpm.subset import (
    KINDS,
    Rpm,
    read_digests,
    read_packages,
    write_subset,
)

if TYPE_CHECKING:
    from builder.rpm.subset import RepodataFile

CHOSEN = ("kubeadm", "kubelet", "docker-ce", "libstdc++")


def upstream_of(repository: dict[str, Path], *without: str) -> MetadataFiles:
    found = {
        kind: path
        for href, path in repository.items()
        for kind in KINDS
        if href.endswith(f"-{kind}.xml.gz") and kind not in without
    }
    return MetadataFiles(name="kubernetes", **found)


def rpms_of(repository: dict[str, Path], *names: str) -> list[Rpm]:
    """Describe RPMs by their bytes, not by what the metadata says."""
    found = []
    for href, path in repository.items():
        if not href.endswith(".rpm"):
            continue
        content = path.read_bytes()
        for one in read_packages(upstream_of(repository).primary, "kubernetes"):
            if one.pkgId == hashlib.sha256(content).hexdigest() and one.name in names:
                nevra = Nevra(one.name, int(one.epoch), one.version, one.release, one.arch)
                found.append(Rpm(nevra=nevra, digest=Digest.of(content), size=len(content)))
    assert len(found) == len(names)
    return found


def made(repository: dict[str, Path], folder: Path, *names: str) -> tuple[RepodataFile, ...]:
    folder.mkdir(exist_ok=True)
    return write_subset(upstream_of(repository), rpms_of(repository, *names), folder)


def test_repomd_describes_the_files(repository: dict[str, Path], tmp_path: Path) -> None:
    files = made(repository, tmp_path / "repodata", *CHOSEN)
    assert [file.name for file in files] == [
        *(f"{file.digest.hex}-{kind}.xml.gz" for file, kind in zip(files, KINDS, strict=False)),
        "repomd.xml",
    ]
    assert {path.name for path in (tmp_path / "repodata").iterdir()} == {f.name for f in files}
    for file in files:
        content = file.path.read_bytes()
        assert (file.digest, file.size) == (Digest.of(content), len(content))
    repomd = parse_repomd(files[-1].path.read_bytes())
    assert [record.type for record in repomd.records] == list(KINDS)
    for record, file in zip(repomd.records, files, strict=False):
        assert record.href == f"repodata/{file.name}"
        assert (record.checksum.digest, record.size) == (file.digest, file.size)
        unpack(file.path, tmp_path / "plain", record)
        assert (tmp_path / "plain").read_bytes() == gzip.decompress(file.path.read_bytes())


def test_exactly_the_chosen_are_described_at_places_of_ours(
    repository: dict[str, Path], tmp_path: Path
) -> None:
    primary, filelists, other, _ = made(repository, tmp_path / "repodata", *CHOSEN)
    before = {one.pkgId: one for one in read_packages(upstream_of(repository).primary, "up")}
    after = read_packages(primary.path, "ours", files=True)
    assert [(one.name, one.location_href, one.location_base) for one in after] == [
        ("docker-ce", "Packages/docker-ce-19.03.9-3.el7.x86_64.rpm", None),
        ("kubeadm", "Packages/kubeadm-1.18.5-0.x86_64.rpm", None),
        ("kubelet", "Packages/kubelet-1.18.5-0.x86_64.rpm", None),
        ("libstdc++", "Packages/libstdc++-4.8.5-44.el7.x86_64.rpm", None),
    ]
    for one in after:
        same = before[one.pkgId]
        assert same.location_href.startswith("../../pool/")
        assert (one.requires, one.provides) == (same.requires, same.provides)
        assert (one.nevra(), one.size_package) == (same.nevra(), same.size_package)
    digests = {one.pkgId for one in after}
    for kind, file in (("filelists", filelists), ("other", other)):
        assert read_digests(file.path, kind, "ours") == digests
    text = gzip.decompress(filelists.path.read_bytes()).decode()
    assert "<file>/etc/sysconfig/kubelet</file>" in text
    assert "/usr/share/pki/ca" not in text, "that is of a package that was not chosen"


def test_the_bytes_are_the_same_whenever_and_in_whatever_order(
    repository: dict[str, Path], tmp_path: Path
) -> None:
    first = made(repository, tmp_path / "a", *CHOSEN)
    (tmp_path / "b").mkdir()
    rpms = rpms_of(repository, *CHOSEN)
    again = write_subset(upstream_of(repository), [*reversed(rpms), *rpms], tmp_path / "b")
    assert [file.digest for file in again] == [file.digest for file in first]
    script = (
        "import sys; from pathlib import Path; from builder.model.digest import Digest\n"
        "from builder.model.rpm import Nevra; from builder.rpm.subset import *\n"
        "from builder.rpm.repodata import MetadataFiles\n"
        "folder, primary, filelists, other, *rpms = sys.argv[1:]\n"
        "made = write_subset(MetadataFiles(name='other name', primary=Path(primary),"
        " filelists=Path(filelists), other=Path(other)),"
        " [Rpm(nevra=Nevra.parse(n), digest=Digest(d), size=int(s))"
        " for n, d, s in (one.split('|') for one in rpms)], Path(folder))\n"
        "print(*(file.digest for file in made), sep='\\n')"
    )
    (tmp_path / "c").mkdir()
    source = upstream_of(repository)
    files = (tmp_path / "c", source.primary, source.filelists, source.other)
    words = [*map(str, files), *(f"{one.nevra}|{one.digest.hex}|{one.size}" for one in rpms)]
    other_day = {"TZ": "Asia/Tokyo", "LC_ALL": "C.UTF-8", "SOURCE_DATE_EPOCH": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script, *words],
        capture_output=True,
        text=True,
        check=True,
        env=other_day,
    )
    assert done.stdout.split() == [str(file.digest) for file in first]
    assert done.stderr == "", "librpm keeps quiet"


def test_there_is_no_time_but_that_of_the_newest_package(
    repository: dict[str, Path], tmp_path: Path
) -> None:
    *packed, repomd = made(repository, tmp_path / "repodata", *CHOSEN)
    root = ET.fromstring(repomd.path.read_bytes())  # noqa: S314 -- our own
    space = "{http://linux.duke.edu/metadata/repo}"
    newest = max(int(one.time_file) for one in read_packages(packed[0].path, "ours"))
    assert root.findtext(f"{space}revision") == str(newest)
    assert {one.text for one in root.iter(f"{space}timestamp")} == {str(newest)}
    for file in packed:
        # RFC 1952: no flags (no name), no time
        assert file.path.read_bytes()[3:8] == b"\0" * 5


def test_a_node_can_install_from_it_alone(repository: dict[str, Path], tmp_path: Path) -> None:
    source = upstream_of(repository)
    metadata = MetadataFiles(name="k", primary=source.primary, filelists=source.filelists)
    closure = solve(
        [PackageRequest(text="kubeadm-1.18.5-0")],
        arch="x86_64",
        metadata=[metadata],
        base=base.empty(),
    )
    rpms = [Rpm(nevra=one.nevra, digest=one.digest, size=one.size) for one in closure.packages]
    assert {rpm.nevra.name for rpm in rpms} == {
        "ca-certificates",
        "cri-tools",
        "kubeadm",
        "kubelet",
        "kubernetes-cni",
    }
    primary, filelists, *_ = write_subset(source, rpms, tmp_path)
    ours = MetadataFiles(name="k", primary=primary.path, filelists=filelists.path)
    names = [rpm.nevra for rpm in rpms]
    assert check_installable(names, arch="x86_64", metadata=[ours], base=base.empty()) == []


def test_no_packages_give_an_empty_repository(repository: dict[str, Path], tmp_path: Path) -> None:
    primary, *_ = write_subset(upstream_of(repository), [], tmp_path)
    assert read_packages(primary.path, "ours") == []


def test_without_filelists_the_files_of_primary_are_kept(
    repository: dict[str, Path], tmp_path: Path
) -> None:
    source = upstream_of(repository, "filelists", "other")
    _, filelists, other, _ = write_subset(source, rpms_of(repository, "kubelet"), tmp_path)
    text = gzip.decompress(filelists.path.read_bytes()).decode()
    assert "/usr/bin/kubelet" in text
    assert len(read_digests(other.path, "other", "ours")) == 1


def test_what_upstream_does_not_describe_is_named(
    repository: dict[str, Path], tmp_path: Path
) -> None:
    good, other = rpms_of(repository, "kubelet", "kubeadm")
    strangers = [
        Rpm(nevra=good.nevra, digest=good.digest, size=good.size + 1),
        Rpm(nevra=Nevra("kubelet", 1, "1.18.5", "0", "x86_64"), digest=good.digest, size=good.size),
        Rpm(nevra=good.nevra, digest=Digest("0" * 64), size=good.size),
    ]
    for one in strangers:
        with pytest.raises(VerificationError) as caught:
            write_subset(upstream_of(repository), [one, other], tmp_path)
        assert str(caught.value) == ("kubernetes: the metadata lacks 1 of the chosen packages")
        assert caught.value.faults == (
            Fault(
                where=f"kubernetes: {one.nevra}",
                what="primary does not describe this RPM",
            ),
        )
    assert list(tmp_path.iterdir()) == []


HOSTILE = (
    "/etc/cron.d/x",
    "../../../../etc/cron.d/x",
    "http://evil.invalid/x.rpm",
    "Packages/../../x",
    "-rf",
    "x\ny",
)


@pytest.mark.parametrize("href", HOSTILE)
def test_hostile_places_leave_no_trace(tmp_path: Path, href: str) -> None:
    package = P(nevra="one-1-1.noarch", href=href)
    (tmp_path / "primary.xml").write_text(write_primary((package,)), "utf-8")
    (tmp_path / "filelists.xml").write_text(write_filelists((package,)), "utf-8")
    (tmp_path / "ours").mkdir()
    rpm = Rpm(nevra=Nevra.parse(package.nevra), digest=Digest(package.pkgid), size=1000)
    source = MetadataFiles(
        name="os", primary=tmp_path / "primary.xml", filelists=tmp_path / "filelists.xml"
    )
    primary, *_ = write_subset(source, [rpm], tmp_path / "ours")
    text = gzip.decompress(primary.path.read_bytes()).decode()
    places = re.findall(r"<location[^>]*>", text)
    assert places == ['<location href="Packages/one-1-1.noarch.rpm"/>']
    assert {path.name for path in tmp_path.iterdir()} == {"ours", "primary.xml", "filelists.xml"}


def test_only_what_is_wanted_is_held(repository: dict[str, Path]) -> None:
    """A mirror may list packages without end; those that nobody chose are let go of at once."""
    primary = upstream_of(repository).primary
    one, *others = read_packages(primary, "up")
    assert others
    [held] = read_packages(primary, "up", wanted={one.pkgId}, most=1)
    assert held.pkgId == one.pkgId


def test_filelists_of_another_day_are_refused(tmp_path: Path) -> None:
    one, two = P(nevra="one-1-1.noarch"), P(nevra="two-1-1.noarch")
    (tmp_path / "primary.xml").write_text(write_primary((one, two)), "utf-8")
    (tmp_path / "filelists.xml").write_text(write_filelists((one,)), "utf-8")
    rpms = [
        Rpm(nevra=Nevra.parse(each.nevra), digest=Digest(each.pkgid), size=1000)
        for each in (one, two)
    ]
    source = MetadataFiles(
        name="os", primary=tmp_path / "primary.xml", filelists=tmp_path / "filelists.xml"
    )
    with pytest.raises(VerificationError) as caught:
        write_subset(source, rpms, tmp_path)
    assert str(caught.value) == "os: filelists: it lacks packages of primary: two-0:1-1.noarch"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "os: primary: no element was found (expected <metadata>)"),
        ("<html/>", "os: primary: the document begins with <html> (expected <metadata>)"),
        ('<metadata packages="1"><package type="rpm"><name>x',
         "os: primary: createrepo_c can't read it: "),
    ],
)  # fmt: skip
def test_unreadable_metadata_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "primary.xml").write_text(content, "utf-8")
    with pytest.raises(VerificationError) as caught:
        read_packages(tmp_path / "primary.xml", "os")
    assert str(caught.value).startswith(message)


def test_a_folder_that_is_not_there_is_no_damage(repository: dict[str, Path]) -> None:
    rpms = rpms_of(repository, "kubelet")
    with pytest.raises(StorageError) as caught:
        write_subset(upstream_of(repository), rpms, Path("/nonexistent/folder"))
    assert caught.value.hint == "check free space and that the folder can be written"

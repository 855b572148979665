"""Metadata against signed headers: whatever a mirror changes is named."""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pytest
from forged import forge, of_package
from steps import is_linear
from subjects import SUBJECT

from builder.lab.packages import PackageRecipe
from builder.lab.repositories import RepositoryRecipe, build_repository
from builder.model.artifact import File, Package, Repository
from builder.model.digest import Digest
from builder.model.lock import Lock
from builder.model.rpm import Nevra
from builder.rpm import claims
from builder.rpm.claims import Claims, Relation, unmet
from builder.rpm.compression import unpack
from builder.rpm.header import read_head
from builder.rpm.recheck import Recheck, justified, verify_repodata
from builder.rpm.repodata import MetadataFiles, parse_repomd
from builder.rpm.subset import Rpm, metadata_file, read_packages, write_subset
from builder.sources.package import check_metadata

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from builder.lab.build_cache import BuildCache
    from builder.lab.openpgp import VendorKey

AGENT = PackageRecipe(
    nevra="agent-2:1.18.5-0.x86_64",
    requires=(
        "conntrack",
        "iptables >= 1.4.21",
        "libc.so.6(GLIBC_2.2.5)(64bit)",
        "libc.so.6(GLIBC_2.17)(64bit)",
        "/usr/bin/agent",
        "agent-config = 3:1-1",
        "/bin/sh",
    ),
    provides=("agent-config = 3:1-1",),
    conflicts=("old-agent < 3",),
    obsoletes=("older-agent <= 1:2-1",),
    files=("/usr/bin/agent", "/etc/agent.conf", "/usr/share/agent/words"),
)
ALL = "/bin/sh, conntrack, iptables >= 1.4.21, libc.so.6(GLIBC_2.17)(64bit)"
TRACK = PackageRecipe(
    nevra="track-1.4-4.noarch",
    provides=("conntrack",),
    requires=("/usr/share/agent/words",),
    files=("/usr/sbin/ct",),
)


@dataclass(frozen=True)
class Carried:
    folder: Path
    rpms: list[Rpm]
    heads: dict[Digest, bytes]

    def check(self) -> Recheck:
        return verify_repodata(self.folder, self.rpms, where="os", heads=self.heads)

    def check_lock(self) -> list[str]:
        """Do the same for a lock that has all of it; return what is wrong."""
        packages = [
            Package(
                nevra=rpm.nevra,
                repository="os",
                digest=rpm.digest,
                size=rpm.size,
                sources=(),
                keys=(),
                requested=True,
                needed_by=(),
                from_base=("/bin/sh", "iptables >= 1.4.21", "libc.so.6(GLIBC_2.17)(64bit)"),
            )
            for rpm in self.rpms
        ]
        repository = Repository(
            name="os", sources=(), digest=packages[0].digest, size=1, keys=(), signed=False
        )
        files = [
            File(
                kind="repodata",
                path=f"yum/os/repodata/{path.name}",
                digest=Digest.of(path.read_bytes()),
                size=path.stat().st_size,
                sources=(),
            )
            for path in self.folder.iterdir()
        ]
        lock = Lock(
            subject=SUBJECT,
            packages=tuple(packages),
            repositories=(repository,),
            files=tuple(files),
        )

        def read(path: str) -> bytes:
            return (self.folder / PurePosixPath(path).name).read_bytes()

        return [fault.what for fault in check_metadata(lock, read, self.heads)]


@pytest.fixture
def carried(cellar: BuildCache, modern: VendorKey, tmp_path: Path) -> Carried:
    """Build two RPMs, and write their metadata as locking does."""
    files = build_repository(cellar, RepositoryRecipe(packages=(AGENT, TRACK)), key=modern)
    repomd = parse_repomd(files["repodata/repomd.xml"].read_bytes())
    plain = {}
    for kind in ("primary", "filelists", "other"):
        record = repomd.need(kind, where="")
        plain[kind] = tmp_path / f"{kind}.xml"
        unpack(files[record.href], plain[kind], record)
    by_name = {package.nevra(): package for package in read_packages(plain["primary"], "os")}
    rpms, heads = [], {}
    for recipe in (AGENT, TRACK):
        nevra = Nevra.parse(recipe.nevra)
        said = by_name[f"{nevra.name}-{nevra.epoch}:{nevra.version}-{nevra.release}.{nevra.arch}"]
        rpm = Rpm(nevra=nevra, digest=Digest(said.pkgId), size=said.size_package)
        with files[said.location_href].open("rb") as file:
            heads[rpm.digest] = read_head(file)
        rpms.append(rpm)
    folder = tmp_path / "repodata"
    folder.mkdir()
    write_subset(MetadataFiles(name="os", **plain), rpms, folder)
    return Carried(folder, rpms, heads)


def without(pattern: str) -> Callable[[str], str]:
    return lambda text: re.sub(pattern, "", text)


def instead(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new)

    return change


def test_what_createrepo_says_is_what_the_header_says(carried: Carried) -> None:
    found = carried.check()
    assert found.faults == []
    agent, track = found.packages
    assert (agent.name, track.name) == (AGENT.nevra, TRACK.nevra)
    assert unmet(found.packages) == {
        AGENT.nevra: ("/bin/sh", "iptables >= 1.4.21", "libc.so.6(GLIBC_2.17)(64bit)"),
        TRACK.nevra: (),
    }


@pytest.mark.parametrize(
    ("kind", "name", "change", "what"),
    [
        (
            "primary", "agent", without(r'\s*<rpm:entry name="conntrack"/>'),
            "primary leaves out that it requires conntrack",
        ),
        (
            "primary", "agent", instead('ver="1.4.21"', 'ver="1.2"'),
            "primary leaves out that it requires iptables >= 1.4.21",
        ),
        (
            "primary", "agent", without(r'\s*<rpm:entry name="libc.so.6[^>]*/>'),
            "primary leaves out that it requires libc.so.6(GLIBC_2.17)(64bit)",
        ),
        (
            "primary", "agent", without(r'\s*<rpm:entry name="agent" flags[^>]*/>'),
            "primary leaves out that it provides agent = 2:1.18.5-0",
        ),
        (
            "primary", "agent", without(r"(?s)\s*<rpm:requires>.*</rpm:requires>"),
            f"primary leaves out that it requires {ALL}",
        ),
        (
            "primary", "agent", instead("<rpm:requires>", '<rpm:requires><rpm:entry name="evil"/>'),
            "primary adds that it requires evil",
        ),
        (
            "primary", "agent",
            instead("<rpm:requires>", '<rpm:requires><rpm:entry name="(a or b)"/>'),
            "primary adds that it requires (a or b)",
        ),
        (
            "primary", "track", instead("<rpm:provides>", '<rpm:provides><rpm:entry name="x"/>'),
            "primary adds that it provides x",
        ),
        (
            "primary", "track", without(r'\s*<rpm:entry name="conntrack"/>'),
            "primary leaves out that it provides conntrack",
        ),
        (
            "primary", "agent", instead('epoch="3" ver="1"', 'epoch="4" ver="1"'),
            "primary leaves out that it provides agent-config = 3:1-1",
        ),
        (
            "primary", "agent", without(r"(?s)\s*<rpm:conflicts>.*</rpm:conflicts>"),
            "primary leaves out that it conflicts old-agent < 3",
        ),
        (
            "primary", "agent", without(r"(?s)\s*<rpm:obsoletes>.*</rpm:obsoletes>"),
            "primary leaves out that it obsoletes older-agent <= 1:2-1",
        ),
        (
            "primary", "track",
            instead(
                "</rpm:provides>",
                '</rpm:provides><rpm:obsoletes><rpm:entry name="agent"/></rpm:obsoletes>',
            ),
            "primary adds that it obsoletes agent",
        ),
        (
            "primary", "track",
            instead(
                "</rpm:provides>",
                '</rpm:provides><rpm:supplements><rpm:entry name="agent"/></rpm:supplements>',
            ),
            "primary adds that it supplements agent",
        ),
        (
            "primary", "track", instead("</format>", "<file>/usr/bin/evil</file></format>"),
            "its file list adds /usr/bin/evil",
        ),
        (
            "filelists", "track", instead("</package>", "<file>/lib/evil.so</file></package>"),
            "its file list adds /lib/evil.so",
        ),
    ],
)  # fmt: skip
def test_what_a_mirror_changes_is_named(
    carried: Carried, kind: str, name: str, change: Callable[[str], str], what: str
) -> None:
    forge(carried.folder, kind, of_package(name, change))
    nevra = {"agent": AGENT.nevra, "track": TRACK.nevra}[name]
    assert (f"os: {nevra}", what) in [(one.where, one.what) for one in carried.check().faults]


def test_a_hidden_program_is_named(carried: Carried) -> None:
    for kind in ("primary", "filelists"):
        forge(carried.folder, kind, without(r"\s*<file>/usr/sbin/ct</file>"))
    assert [one.what for one in carried.check().faults] == ["its file list leaves out /usr/sbin/ct"]


def test_a_hidden_file_is_named_if_anything_requires_it(carried: Carried) -> None:
    """yum of a node would look for it in vain, though the RPM has it."""
    assert carried.check_lock() == []
    forge(carried.folder, "filelists", without(r"\s*<file>/usr/share/doc/[^<]*</file>"))
    assert carried.check_lock() == []
    forge(carried.folder, "filelists", without(r"\s*<file>/usr/share/agent/words</file>"))
    assert carried.check_lock() == ["its file list leaves out /usr/share/agent/words"]
    for kind in ("primary", "filelists"):
        forge(carried.folder, kind, without(r"\s*<file>/usr/sbin/ct</file>"))
    assert carried.check_lock() == [
        "its file list leaves out /usr/sbin/ct",
        "its file list leaves out /usr/share/agent/words",
    ]


def test_epoch_and_architecture_are_the_locks(carried: Carried) -> None:
    for change in (instead('epoch="2"', 'epoch="1"'), instead(">x86_64<", ">noarch<")):
        text = metadata_file(carried.folder, "primary").read_bytes()
        repomd = (carried.folder / "repomd.xml").read_bytes()
        forge(carried.folder, "primary", of_package("agent", change))
        assert "primary does not list this RPM" in [one.what for one in carried.check().faults]
        metadata_file(carried.folder, "primary").write_bytes(text)
        (carried.folder / "repomd.xml").write_bytes(repomd)


def test_a_package_that_went_missing_is_named_by_headers_alone(carried: Carried) -> None:
    agent = next(one for one in carried.check().packages if one.name == AGENT.nevra)
    base = ["/bin/sh", "iptables >= 1.4.21", "libc.so.6(GLIBC_2.17)(64bit)"]
    (fault,) = claims.unprovided([agent], {agent.name: base})
    assert (fault.where, fault.what) == (
        AGENT.nevra,
        "no package here provides what it requires: conntrack",
    )
    assert claims.unprovided([agent], {agent.name: [*base, "conntrack"]}) == []


@pytest.mark.parametrize("kind", ["primary", "filelists", "other"])
@pytest.mark.parametrize("told", [True, False])
def test_a_document_is_no_larger_than_its_packages_justify(
    carried: Carried, *, kind: str, told: bool
) -> None:
    largest = justified(carried.rpms, carried.heads)
    assert largest < 1 << 18
    forge(carried.folder, kind, lambda text: text + " " * (8 << 20))
    if not told:
        path = carried.folder / "repomd.xml"
        path.write_text(re.sub(r"<open-size>.*?</open-size>", "", path.read_text("utf-8")))
    packed = metadata_file(carried.folder, kind).stat().st_size
    assert packed < largest / 4
    (fault, *_) = carried.check().faults
    assert fault.where == f"os/{metadata_file(carried.folder, kind).name}"
    assert f"{largest:,}" in str(fault.expected)
    assert len(gzip.decompress(metadata_file(carried.folder, kind).read_bytes())) > 8 << 20


@pytest.mark.parametrize(
    ("provided", "required", "met"),
    [
        ("0:1.2-3", ("=", "0:1.2"), True),
        ("0:1.2-3", (">=", "0:1.2-4"), False),
        ("0:1.10-1", (">", "0:1.9"), True),
        ("1:1-1", ("<=", "0:2"), False),
    ],
)
def test_what_a_package_provides_for_itself_need_not_be_said(
    *, provided: str, required: tuple[str, str], met: bool
) -> None:
    found: Claims = claims._claims(
        "a",
        "0:1-1",
        "noarch",
        {
            "provides": {Relation("x", "=", provided)},
            "requires": {Relation("x", *required), Relation("rpmlib(y)", "<=", "0:1")},
        },
        frozenset(),
    )
    assert found.requires == (frozenset() if met else {Relation("x", *required)})


def test_what_a_package_says_of_many_versions_takes_as_many_steps() -> None:
    """An RPM's metadata may say much, and is signed by nobody."""

    def work(size: int) -> Callable[[], object]:
        relations = {
            "provides": {Relation("x", "=", f"0:1.{n}-1") for n in range(size)},
            "requires": {
                *(Relation("x", "=", f"0:2.{n}") for n in range(size)),
                *(Relation(f"libc.so.6(GLIBC_2.{n})(64bit)") for n in range(size)),
            },
        }
        return lambda: claims._claims("a", "0:1-1", "noarch", relations, frozenset())

    assert is_linear(work, 100)


def test_a_number_of_any_length_is_a_version_of_the_library() -> None:
    needs = [f"libc.so.6(GLIBC_2.{digits})" for digits in ("9" * 5000, "017", "17.1", "2.5")]
    found = claims._claims(
        "a",
        "0:1-1",
        "noarch",
        {"provides": set(), "requires": set(map(Relation, needs))},
        frozenset(),
    )
    assert found.requires == {Relation(needs[0])}

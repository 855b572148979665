from __future__ import annotations

import gzip
import hashlib
import subprocess
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin
from xml.etree import ElementTree as ET

import pysequoia
import pytest
import rpm_rs

from builder.lab import shapes
from builder.lab.packages import PackageRecipe, build_package
from builder.lab.repositories import comps

if TYPE_CHECKING:
    from pathlib import Path

    from fault_lab.upstream import FaultyUpstream

    from builder.lab.openpgp import VendorKey

BASE = "https://packages.example.org/yum/repos/kubernetes-el7-x86_64"
ONE = PackageRecipe(
    nevra="one-2:1.0-1.el7.x86_64",
    requires=("two >= 1:3.0", "/bin/sh", "libc.so.6(GLIBC_2.17)(64bit)"),
    provides=("uno = 1.0-1",),
    conflicts=("none",),
    obsoletes=("zero < 1.0",),
    files=("/usr/bin/one", "/usr/lib/one/data"),
    size=5000,
)
TWO = PackageRecipe(nevra="two-1:3.0-2.noarch")
NAMESPACES = {
    "repo": "http://linux.duke.edu/metadata/repo",
    "common": "http://linux.duke.edu/metadata/common",
    "rpm": "http://linux.duke.edu/metadata/rpm",
}


@pytest.fixture
def key(upstream: FaultyUpstream) -> VendorKey:
    return upstream.key("Lab <lab@example.org>")


def check(path: Path, key: VendorKey) -> None:
    """Check digests and signature; rpm-rs raises for anything that is not in order."""
    verifier = rpm_rs.Verifier()
    verifier.load_from_asc_bytes(key.public)
    rpm_rs.Package.open(path).verify_signature(verifier)


def metadata(client: Any, kind: str) -> bytes:
    """Fetch repomd.xml and one file that it names; check what it says about the file."""
    repomd = ET.fromstring(client.ask(f"{BASE}/repodata/repomd.xml").body)  # noqa: S314 -- our own
    entry = repomd.find(f"repo:data[@type='{kind}']", NAMESPACES)
    assert entry is not None
    location = entry.find("repo:location", NAMESPACES)
    assert location is not None
    content: bytes = client.ask(f"{BASE}/{location.get('href')}").body
    assert entry.findtext("repo:checksum", None, NAMESPACES) == hashlib.sha256(content).hexdigest()
    assert entry.findtext("repo:size", None, NAMESPACES) == str(len(content))
    return content


def test_a_package_says_what_its_recipe_says(tmp_path: Path, key: VendorKey) -> None:
    built = build_package(ONE, key, tmp_path)
    found = rpm_rs.PackageMetadata.open(built.path)
    assert (found.name, found.epoch, found.version) == ("one", 2, "1.0")
    assert (found.release, found.arch) == ("1.el7", "x86_64")
    requires = {(each.name, each.version) for each in found.requires()}
    assert {("two", "1:3.0"), ("/bin/sh", ""), ("libc.so.6(GLIBC_2.17)(64bit)", "")} <= requires
    assert ("uno", "1.0-1") in {(each.name, each.version) for each in found.provides()}
    assert [(each.name, each.version) for each in found.obsoletes()] == [("zero", "1.0")]
    assert [each.name for each in found.conflicts()] == ["none"]
    assert {"/usr/bin/one", "/usr/lib/one/data"} < {str(path) for path in found.file_paths()}
    assert found.payload_compressor.lower() == "gzip"
    assert built.path.stat().st_size > 5000
    assert hashlib.sha256(built.path.read_bytes()).hexdigest() == built.sha256


@pytest.mark.parametrize("version", [3, 4])
def test_packages_are_signed_as_their_owners_do(
    tmp_path: Path, upstream: FaultyUpstream, version: Any
) -> None:
    key = upstream.key("Owner", version=version, self_algorithm="sha1")
    check(build_package(ONE, key, tmp_path).path, key)


def test_a_changed_package_is_found_out(tmp_path: Path, key: VendorKey) -> None:
    path = build_package(ONE, key, tmp_path).path
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    with pytest.raises(Exception, match="digest"):
        check(path, key)


def test_another_key_does_not_fit(tmp_path: Path, upstream: FaultyUpstream, key: VendorKey) -> None:
    path = build_package(ONE, upstream.key("Somebody else"), tmp_path).path
    with pytest.raises(Exception, match=r"[Ss]ignature|[Kk]ey"):
        check(path, key)


def test_packages_may_be_unsigned(tmp_path: Path, key: VendorKey) -> None:
    unsigned = PackageRecipe(nevra="one-1.0-1.x86_64", signed=False)
    assert rpm_rs.Package.open(build_package(unsigned, key, tmp_path).path).signatures() == []
    assert rpm_rs.Package.open(build_package(TWO, None, tmp_path).path).signatures() == []


def test_packages_are_reproducible(tmp_path: Path, key: VendorKey) -> None:
    (tmp_path / "again").mkdir()
    first = build_package(ONE, key, tmp_path)
    assert build_package(ONE, key, tmp_path / "again").sha256 == first.sha256


def test_an_odd_dependency_is_refused(tmp_path: Path) -> None:
    recipe = PackageRecipe(nevra="one-1.0-1.x86_64", requires=("two => 1",))
    with pytest.raises(ValueError, match="'two => 1' is not a dependency"):
        build_package(recipe, None, tmp_path)


def test_a_repository_is_read_from_repomd_on(
    upstream: FaultyUpstream, client: Any, key: VendorKey, tmp_path: Path
) -> None:
    upstream.add_repository(f"{BASE}/", [ONE, TWO], key=key)
    primary = ET.fromstring(gzip.decompress(metadata(client, "primary")))  # noqa: S314 -- our own
    names = [
        (
            package.findtext("common:name", None, NAMESPACES),
            package.findtext("common:arch", None, NAMESPACES),
        )
        for package in primary
    ]
    assert names == [("one", "x86_64"), ("two", "noarch")]
    for package in primary:
        location = package.find("common:location", NAMESPACES)
        assert location is not None
        content = client.ask(urljoin(f"{BASE}/", location.get("href"))).body
        checksum = package.findtext("common:checksum", None, NAMESPACES)
        assert hashlib.sha256(content).hexdigest() == checksum
        (tmp_path / "fetched.rpm").write_bytes(content)
        check(tmp_path / "fetched.rpm", key)
    assert b"/usr/lib/one/data" in gzip.decompress(metadata(client, "filelists"))
    assert b"/usr/lib/one/data" not in gzip.decompress(metadata(client, "primary"))
    assert b"<otherdata" in gzip.decompress(metadata(client, "other"))
    assert client.ask(f"{BASE}/repodata/repomd.xml.asc").status == 404


def test_old_google_repositories_keep_packages_outside(
    upstream: FaultyUpstream, client: Any, key: VendorKey
) -> None:
    upstream.add_repository(BASE, [ONE], key=key, pool="../../pool/")
    primary = gzip.decompress(metadata(client, "primary"))
    package = ET.fromstring(primary)[0]  # noqa: S314 -- our own
    checksum = package.findtext("common:checksum", None, NAMESPACES)
    location = package.find("common:location", NAMESPACES)
    assert location is not None
    assert location.get("href") == f"../../pool/{checksum}-one-1.0-1.el7.x86_64.rpm"
    url = f"https://packages.example.org/yum/pool/{checksum}-one-1.0-1.el7.x86_64.rpm"
    assert hashlib.sha256(client.ask(url).body).hexdigest() == checksum


def test_metadata_may_be_signed_by_a_key_of_its_own(
    upstream: FaultyUpstream, client: Any, key: VendorKey
) -> None:
    other = upstream.key("Metadata <metadata@example.org>")
    upstream.add_repository(BASE, [ONE], key=key, metadata_key=other, signed=True)
    certificate = pysequoia.Cert.from_bytes(client.ask(f"{BASE}/repodata/repomd.xml.key").body)
    assert certificate.fingerprint.upper() == other.fingerprint
    result = pysequoia.verify(
        bytes=client.ask(f"{BASE}/repodata/repomd.xml").body,
        store=lambda _: [certificate],
        signature=pysequoia.Sig.from_bytes(client.ask(f"{BASE}/repodata/repomd.xml.asc").body),
    )
    assert [found.certificate.upper() for found in result.valid_sigs] == [other.fingerprint]


def test_groups_are_in_comps() -> None:
    text = comps({"core": {"mandatory": ["bash"], "optional": ["tboot"]}, "x": ["a&b"]})
    found = ET.fromstring(text)  # noqa: S314 -- our own
    assert [
        (group.findtext("id"), package.get("type"), package.text)
        for group in found
        for package in group.iter("packagereq")
    ] == [
        ("core", "mandatory", "bash"),
        ("core", "optional", "tboot"),
        ("x", "mandatory", "a&b"),
    ]


def test_the_stock_can_be_built_and_means_something(
    upstream: FaultyUpstream, client: Any, key: VendorKey
) -> None:
    recipes, groups = shapes.packages("os", scale=0.001)
    upstream.add_repository(BASE, recipes, key=key, groups=groups)
    assert b'<packagereq type="mandatory">systemd</packagereq>' in metadata(client, "group")
    assert b"<name>conntrack-tools</name>" in gzip.decompress(metadata(client, "primary"))


def test_everything_in_stock_finds_what_it_requires() -> None:
    names = ("os", "updates", "extras", "docker-ce-stable", "kubernetes")
    recipes = [recipe for name in names for recipe in shapes.packages(name, 0.0)[0]]
    given = {text.split()[0] for recipe in recipes for text in (*recipe.provides, *recipe.files)}
    given |= {recipe.nevra.rsplit("-", 2)[0] for recipe in recipes}
    missing = {
        text for recipe in recipes for text in recipe.requires if text.split()[0] not in given
    }
    assert missing == set()


@pytest.mark.interop
@pytest.mark.parametrize("version", [3, 4])
def test_rpm_accepts_packages_and_keys(
    tmp_path: Path, upstream: FaultyUpstream, version: Any
) -> None:
    key = upstream.key("Owner", version=version, self_algorithm="sha1")
    (tmp_path / "key.asc").write_bytes(key.public)
    path = build_package(ONE, key, tmp_path).path
    database = ["--dbpath", tmp_path / "db"]
    subprocess.run(["rpmkeys", *database, "--import", tmp_path / "key.asc"], check=True)
    done = subprocess.run(
        ["rpmkeys", *database, "-Kv", path], capture_output=True, text=True, check=True
    )
    expected = f"Header V{version} RSA/SHA256 Signature, key ID {key.fingerprint[-8:].lower()}: OK"
    assert expected in done.stdout


@pytest.mark.interop
def test_dnf_installs_from_it_over_loopback(
    tmp_path: Path, upstream: FaultyUpstream, key: VendorKey
) -> None:
    upstream.add_repository(BASE, [ONE, TWO, shell()], key=key, pool="../../pool/", signed=True)
    (tmp_path / "key.asc").write_bytes(key.public)
    address = f"http://{upstream.listen('packages.example.org')}/yum/repos/kubernetes-el7-x86_64"
    options = [
        "--disablerepo=*",
        f"--repofrompath=lab,{address}",
        f"--installroot={tmp_path / 'root'}",
        f"--setopt=cachedir={tmp_path / 'cache'}",
        "--setopt=lab.gpgcheck=1",
        f"--setopt=lab.gpgkey=file://{tmp_path / 'key.asc'}",
        "--releasever=7",
        "--forcearch=x86_64",
    ]
    subprocess.run(["dnf", "-y", *options, "install", "--downloadonly", "one"], check=True)
    assert len(list((tmp_path / "cache").rglob("*.rpm"))) == 3


def shell() -> PackageRecipe:
    return PackageRecipe(
        nevra="bash-4.2-1.x86_64",
        provides=("/bin/sh", "libc.so.6(GLIBC_2.17)(64bit)"),
    )

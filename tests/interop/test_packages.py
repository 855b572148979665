"""The packages of a bundle, read by dnf and rpmkeys; and those that must not get into one."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from interop import rpmbuild
from interop.programs import run
from interop.upstream import BAD
from interop.workdir import Workdir

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from interop.upstream import RealUpstream

pytestmark = pytest.mark.interop
OLD = "centos-7"


def dnf(
    unpacked: Path, scratch: Path, env: dict[str, str], *names: str, keys: list[Path]
) -> subprocess.CompletedProcess[str]:
    """Download names and all they need out of the bundle alone, for an empty root."""
    (scratch / "root").mkdir(parents=True)
    (scratch / "dnf.conf").write_text("[main]\n", "utf-8")
    words = ["--config", str(scratch / "dnf.conf"), "--installroot", str(scratch / "root")]
    words += ["--setopt=reposdir=/nonexistent", f"--setopt=cachedir={scratch / 'cache'}"]
    words += ["--releasever=7", "--forcearch=x86_64", "--assumeyes"]
    for repository in sorted((unpacked / "yum").iterdir()):
        name = repository.name
        urls = " ".join(f"file://{key}" for key in keys)
        words += [f"--repofrompath={name},file://{repository}", f"--repo={name}"]
        words += [f"--setopt={name}.gpgcheck=1", f"--setopt={name}.gpgkey={urls}"]
    words += ["install", "--downloadonly", "--downloaddir", str(scratch / "got")]
    return run("dnf", *words, *names, env=env, check=False)


def rpmkeys(env: dict[str, str], database: Path, *words: str | Path) -> str:
    """Run rpmkeys with a database of its own; return all it says, good or bad."""
    return run("rpmkeys", "--dbpath", database, *words, env=env, check=False).stdout


@pytest.fixture(scope="module")
def database(unpacked: Path, tmp_path_factory: pytest.TempPathFactory, env: dict[str, str]) -> Path:
    """Import the bundle's keys, and no other."""
    folder = tmp_path_factory.mktemp("rpmdb")
    for key in (unpacked / "keys").iterdir():
        run("rpmkeys", "--dbpath", folder, "--import", key, env=env)
    return folder


def test_dnf_takes_the_whole_set_into_an_empty_root(
    workdir: Workdir, unpacked: Path, tmp_path: Path, env: dict[str, str]
) -> None:
    packages = workdir.lock.packages
    names = [f"{one.nevra.name}-{one.nevra.evr}" for one in packages if one.requested]
    done = dnf(unpacked, tmp_path, env, *names, keys=sorted((unpacked / "keys").iterdir()))
    assert done.returncode == 0, done.stdout
    got = {path.name for path in (tmp_path / "got").glob("*.rpm")}
    assert got == {package.nevra.filename for package in packages}


def test_dnf_takes_nothing_without_the_right_keys(
    unpacked: Path, tmp_path: Path, env: dict[str, str]
) -> None:
    done = dnf(unpacked, tmp_path, env, "bash", keys=[unpacked / "keys" / "docker-ce.asc"])
    assert done.returncode != 0
    assert "key" in done.stdout.lower(), done.stdout


def test_rpmkeys_shows_the_pinned_key_on_every_package(
    workdir: Workdir, unpacked: Path, real: RealUpstream, database: Path, env: dict[str, str]
) -> None:
    versions = {signer.fingerprint: signer.version for signer in real.signers.values()}
    for package in workdir.lock.packages:
        output = rpmkeys(env, database, "-Kv", unpacked / package.path)
        good = [line for line in output.splitlines() if "Signature" in line]
        # over the header, and over header and payload
        assert len(good) == 2, output
        for line in good:
            assert line.endswith(": OK"), output
            key = next(one for one in package.keys if one.lower()[-8:] in line)
            assert f"V{versions[key]} RSA" in line, output
        assert "NOT OK" not in output


def test_packages_of_centos_are_signed_as_centos_signs(
    workdir: Workdir, unpacked: Path, real: RealUpstream, database: Path, env: dict[str, str]
) -> None:
    signer = real.signers[OLD]
    packets = signer.packets(signer.public)
    assert "digest algo 2," in packets  # SHA-1 over itself
    centos = [one for one in workdir.lock.packages if one.repository.startswith("centos")]
    assert len(centos) > 50
    for package in centos:
        output = rpmkeys(env, database, "-Kv", unpacked / package.path)
        assert "Header V3 RSA/SHA256 Signature" in output
        assert "Payload SHA256 digest" not in output  # EL7's rpmbuild wrote none


@pytest.mark.parametrize(
    ("name", "rpm_says", "fault"),
    [
        ("site-unsigned", ": digests OK", "the RPM is not signed"),
        ("site-stranger", ": digests SIGNATURES NOT OK", "the RPM is signed by the key "),
        ("site-tampered", ": DIGESTS SIGNATURES NOT OK", "the payload is not the one that was"),
        ("site-tampered-old", ": DIGESTS SIGNATURES NOT OK", "the payload is not the one that was"),
    ],
)
def test_bad_packages_are_refused(
    real: RealUpstream,
    scratch: Path,
    database: Path,
    env: dict[str, str],
    name: str,
    rpm_says: str,
    fault: str,
) -> None:
    assert name in BAD
    (rpm,) = real.rpms("site").rglob(f"{name}-1.0-1*.rpm")
    assert rpm_says in rpmkeys(env, database, "-K", rpm)
    workdir = Workdir(real, scratch / name)
    workdir.write(name)
    workdir("lock", "--catalog", str(real.catalog))
    output = workdir("bundle", code=1).stderr
    assert "error: 1 artifact failed the check" in output
    assert f"{name}-1.0-1.el7.x86_64: {fault}" in output
    assert not workdir.bundle.exists()
    shutil.rmtree(workdir.folder)


def test_a_package_that_was_changed_on_the_server_is_refused(
    workdir: Workdir, real: RealUpstream, scratch: Path
) -> None:
    other = Workdir(real, scratch / "changed")
    shutil.copytree(
        workdir.folder, other.folder, ignore=shutil.ignore_patterns("unpacked", "*.tar")
    )
    (rpm,) = real.rpms("centos-7.6-os").glob("zlib-*.x86_64.rpm")
    right = rpm.read_bytes()
    rpm.write_bytes(rpmbuild.with_other_payload(right))
    try:
        output = other("bundle", code=1).stderr
    finally:
        rpm.write_bytes(right)
    assert "zlib-1.2.7-18.el7.x86_64" in output
    other("bundle")
    assert other.bundle.read_bytes() == workdir.bundle.read_bytes()
    shutil.rmtree(other.folder)

"""The bundle as a file: what the lock says, what airseed says, what tar and sha256sum say."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from interop.programs import run
from interop.servers import PASSWORD
from interop.workdir import Workdir

from builder.model.digest import Digest

if TYPE_CHECKING:
    from pathlib import Path

    from interop.upstream import RealUpstream

pytestmark = pytest.mark.interop


def test_verify_takes_the_tar_and_the_folder(workdir: Workdir, unpacked: Path) -> None:
    assert "bundle.tar is whole" in workdir("verify").stderr
    assert "unpacked is whole" in workdir("verify", str(unpacked)).stderr


def test_sha256sum_finds_every_file_right(unpacked: Path, env: dict[str, str]) -> None:
    done = run("sha256sum", "--strict", "-c", "SHA256SUMS", env=env, cwd=unpacked)
    checked = {line.removesuffix(": OK") for line in done.stdout.splitlines()}
    there = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file()}
    assert checked == there - {"SHA256SUMS"}


def test_what_is_not_locked_from_upstream_is_there_too(unpacked: Path) -> None:
    assert (unpacked / "files/site/banner.txt").read_text() == "airseed\n" * 1000
    assert (unpacked / "files/local.txt").read_text() == "a file beside cluster.yaml\n"
    (web,) = (unpacked / "manifests").glob("*-web.yaml")
    assert "registry.example.com/team/web:1" in web.read_text()


def test_locking_again_changes_nothing(workdir: Workdir) -> None:
    before = (workdir.folder / "cluster.lock").read_bytes()
    workdir("lock", "--catalog", str(workdir.upstream.catalog))
    assert (workdir.folder / "cluster.lock").read_bytes() == before
    assert (
        "upstream has what the lock has"
        in workdir("lock", "--check", "--catalog", str(workdir.upstream.catalog)).stderr
    )


def test_a_second_bundle_is_the_same_bytes(workdir: Workdir, real: RealUpstream) -> None:
    again = workdir.folder.parent / "again.tar"
    workdir("bundle", "-o", str(again))
    with workdir.bundle.open("rb") as first, again.open("rb") as second:
        digests = [hashlib.file_digest(one, "sha256").hexdigest() for one in (first, second)]
    again.unlink()
    assert digests[0] == digests[1]


def test_the_lock_has_the_digests_that_crane_sees(workdir: Workdir, env: dict[str, str]) -> None:
    for image in workdir.lock.images:
        (source,) = image.sources
        assert run("crane", "digest", source, env=env).stdout.strip() == str(image.digest)
        manifest = run("crane", "manifest", source, env=env).stdout
        assert Digest.of(manifest.removesuffix("\n").encode()) == image.digest


def test_the_password_is_nowhere(workdir: Workdir, scratch: Path) -> None:
    secret = (workdir.upstream.servers.login / "config.json").read_text().split('"auth": "')[1][:20]
    files = [path for path in workdir.folder.rglob("*") if path.is_file()]
    assert workdir.bundle in files
    for path in files:
        content = path.read_bytes()
        assert PASSWORD.encode() not in content, path
        assert secret.encode() not in content, path


def test_without_a_login_nothing_is_locked(
    workdir: Workdir, real: RealUpstream, scratch: Path
) -> None:
    stranger = Workdir(real, scratch / "stranger")
    stranger.write("site-tool")
    login = real.servers.login
    hidden = login.rename(login.with_name("hidden"))
    try:
        output = stranger("lock", "--catalog", str(real.catalog), code=1).stderr
    finally:
        hidden.rename(login)
    assert f"docker login {real.servers.registry}" in output
    assert not (stranger.folder / "cluster.lock").exists()

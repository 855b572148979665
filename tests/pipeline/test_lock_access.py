"""``airseed lock`` and ``bundle`` through proxies, private authorities and private registries."""

from __future__ import annotations

import base64
import json
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
from fault_lab.faults import DripHead
from fault_lab.registry import FullProfile

from builder.formats import lock as lock_format

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandboxes import Ran, Sandbox

Site = Any
USER, SECRET = "robot", "correct-horse:battery"
HOST = "registry.private.example"
IMAGE = f"{HOST}/team/app:1.0"
EXTRA = f"extra: {{images: ['{IMAGE}']}}\ncni: none\n"


@pytest.fixture(params=["bearer", "basic"])
def private(shared: Sandbox, request: pytest.FixtureRequest) -> Iterator[str]:
    """Let the upstream have a registry that gives nothing to strangers; return its host."""
    host = f"{request.param}.{HOST}"
    upstream = shared.upstream
    profile = FullProfile(host=host, content=host, auth=request.param, private=("*",))
    upstream.registry(host, profile).tokens.users[USER] = SECRET
    upstream.add_image(IMAGE.replace(HOST, host))
    yield host
    upstream.registry(host).tokens.users.clear()


def log_in(sandbox: Sandbox, host: str, password: str = SECRET) -> None:
    """Do as ``docker login`` does."""
    auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
    folder = sandbox.folder.parent / "docker"
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))
    sandbox.environment["DOCKER_CONFIG"] = str(folder)


def everything(sandbox: Sandbox, *ran: Ran) -> bytes:
    """Return all that was written and said."""
    files = [path.read_bytes() for path in sandbox.folder.rglob("*") if path.is_file()]
    return b"".join([*files, *((one.out + one.err).encode() for one in ran)])


def test_a_private_registry_wants_a_login(site: Site, private: str) -> None:
    sandbox = site.open(EXTRA.replace(HOST, private))
    ran = sandbox.lock("-q")
    assert ran.code == 1
    assert f"error: {private}/team/app:1.0: no source has this image" in ran.err
    assert "docker login" in ran.err
    log_in(sandbox, private, "wrong-password")
    wrong = sandbox.lock("-q")
    assert wrong.code == 1
    assert "wrong-password" not in wrong.err
    assert "cluster.lock" not in sandbox.names


def test_with_a_login_it_is_locked_and_bundled_and_the_secret_stays_out(
    site: Site, private: str
) -> None:
    sandbox = site.open(EXTRA.replace(HOST, private))
    log_in(sandbox, private)
    locked = sandbox.lock("-v")
    assert locked.code == 0, locked.err
    bundled = sandbox.bundle("-v")
    assert bundled.code == 0, bundled.err
    assert f"{private}/team/app:1.0" in {
        image.name for image in lock_format.read(sandbox.lock_path).images
    }
    written = everything(sandbox, locked, bundled)
    coded = base64.b64encode(f"{USER}:{SECRET}".encode())
    for secret in (SECRET.encode(), coded, b"Bearer ", b"Basic "):
        assert secret not in written.replace(b"Bearer realm", b"")
    others = {one.host for one in locked.requests if one.authorized} - {private}
    assert others <= {"registry-1.docker.io", "quay.io"}  # where anybody gets a token


def test_other_hosts_never_see_a_login(site: Site) -> None:
    """A login for one registry goes to no other one, nor where redirects lead."""
    sandbox = site.open("cni: none\n")
    log_in(sandbox, "example.org")
    ran = sandbox.lock("-q")
    assert ran.code == 0, ran.err
    assert not [one for one in ran.requests if one.authorized]


def test_a_broken_login_file_is_named(site: Site, private: str) -> None:
    sandbox = site.open(EXTRA.replace(HOST, private))
    log_in(sandbox, private)
    config = sandbox.folder.parent / "docker/config.json"
    config.write_text('{"auths": {"x": {"auth": "' + SECRET)
    ran = sandbox.lock("-q")
    assert ran.code == 1
    assert str(config) in ran.err
    assert SECRET not in ran.err
    assert "Traceback" not in ran.err


CA_NAMES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def test_a_private_authority(site: Site, tmp_path: Path) -> None:
    sandbox = site.open("cni: none\n")
    given = {sandbox.environment.pop(name) for name in CA_NAMES}
    (authority,) = given
    ran = sandbox.lock("-q")
    assert ran.code == 1
    assert "is not trusted: " in ran.err
    assert "--ca-bundle" in ran.err
    assert sandbox.names <= {"cluster.yaml", "cluster.lock.d"}
    for words in (("lock", "cluster.yaml", "--catalog", str(sandbox.catalog)), ("bundle",)):
        done = sandbox.run(*words, "-q", "--ca-bundle", authority)
        assert done.code == 0, done.err
    sandbox.environment["AIRSEED_CA_BUNDLE"] = authority
    assert sandbox.lock("-q").code == 0
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate\n")
    ran = sandbox.lock("-q", "--ca-bundle", str(broken))
    assert ran.code == 2
    assert "broken.pem" in ran.err


def test_everything_goes_through_the_proxy(site: Site) -> None:
    """Real names are asked for, and there is no other way to them here."""
    sandbox = site.open("cni: none\n")
    ran = sandbox.lock("-q")
    assert ran.code == 0, ran.err
    assert {one.host for one in ran.requests} >= {
        "registry.k8s.io",
        "vault.centos.org",
        "download.docker.com",
        "mirrors.aliyun.com",
    }


@pytest.mark.parametrize("how", ["lock", "bundle"])
def test_the_members_of_a_bundle_name_no_machine(site: Site, how: str) -> None:
    sandbox = site.open("cni: none\n")
    assert sandbox.lock("-q").code == 0
    if how == "lock":
        assert str(sandbox.folder).encode() not in sandbox.lock_path.read_bytes()
        return
    assert sandbox.bundle("-q").code == 0
    with tarfile.open(sandbox.bundle_path) as tar:
        owners = {(one.uid, one.gid, one.uname, one.gname, one.mtime) for one in tar}
    assert len(owners) == 1


def test_a_source_that_drips_is_passed_over(site: Site) -> None:
    """All that its first source never answers to the end comes from the next."""
    sandbox = site.open()
    sandbox.environment["AIRSEED_TIMEOUT"] = "0.5"
    rule = sandbox.upstream.faults.add(DripHead(), host="vault.centos.org", path="*KEY*")
    try:
        ran = sandbox.lock()
    finally:
        sandbox.upstream.faults.clear()
    assert ran.code == 0, ran.err
    assert rule.hits

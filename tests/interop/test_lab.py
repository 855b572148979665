"""Is the embedded upstream real enough? skopeo reads it, on plain HTTP and through the proxy."""

from __future__ import annotations

import json
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
from fault_lab.registry import FullProfile
from fault_lab.tokens import UserTokens
from fault_lab.upstream import FaultyUpstream
from interop.programs import environment, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.interop
POLICY = ("skopeo", "--insecure-policy")


@pytest.fixture
def upstream(tools: None, tmp_path: Path) -> Iterator[FaultyUpstream]:
    with FaultyUpstream(tmp_path / "lab") as running:
        yield running


@pytest.mark.parametrize("era", ["docker", "oci"])
@pytest.mark.parametrize(
    "name", ["docker.io/calico/node", "quay.io/tigera/operator", "k8s.gcr.io/pause"]
)
def test_skopeo_copies_through_the_proxy(
    upstream: FaultyUpstream, tmp_path: Path, name: str, era: Any
) -> None:
    upstream.add_image(
        f"{name}:1",
        platforms=["linux/amd64", "linux/arm64"],
        bases=[("common", 3000)],
        era=era,
        attestations=era == "oci",
    )
    archive = tmp_path / "image.tar"
    env = environment(tmp_path, **upstream.environment)
    target = f"docker-archive:{archive}:{name}:1"
    run(*POLICY, "copy", "-q", f"docker://{name}:1", target, env=env)
    with tarfile.open(archive) as tar:
        member = tar.extractfile("manifest.json")
        assert member is not None
        (entry,) = json.load(member)
    assert len(entry["Layers"]) == 2


@pytest.mark.parametrize(
    "host", ["docker.io", "registry.k8s.io", "k8s.gcr.io", "plain.example.org"]
)
def test_skopeo_copies_everything_over_loopback(
    upstream: FaultyUpstream, tmp_path: Path, host: str
) -> None:
    made = upstream.add_image(
        f"{host}/team/app:1",
        platforms=["linux/amd64", "linux/arm64"],
        era="oci",
        attestations=True,
    )
    source = f"docker://{upstream.listen(host)}/team/app:1"
    words = ("copy", "-q", "--all", "--src-tls-verify=false")
    run(*POLICY, *words, source, f"dir:{tmp_path / 'all'}", env=environment(tmp_path))
    index = (tmp_path / "all" / "manifest.json").read_bytes()
    assert index == upstream.image_store.path(made.digest).read_bytes()


def test_skopeo_takes_no_other_password(upstream: FaultyUpstream, tmp_path: Path) -> None:
    profile = FullProfile(host="private.example.org", content="private.example.org", private=("*",))
    tokens = upstream.registry("private.example.org", profile).tokens
    assert isinstance(tokens, UserTokens)
    tokens.users["me"] = "secret"
    upstream.add_image("private.example.org/app:1")
    address = upstream.listen("private.example.org")

    def inspect(password: str) -> int:
        words = ("inspect", "--tls-verify=false", f"--creds=me:{password}")
        env = environment(tmp_path)
        return run(*POLICY, *words, f"docker://{address}/app:1", env=env, check=False).returncode

    assert inspect("secret") == 0
    assert inspect("wrong") != 0

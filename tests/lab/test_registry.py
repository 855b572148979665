from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import re
import socket
import tarfile
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from fault_lab import faults
from fault_lab.registry import FullProfile, PullLimit

from builder.model.artifact import INDEX_TYPES, MANIFEST_TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fault_lab.upstream import FaultyUpstream

EVERY_TYPE = {"Accept": ", ".join([*INDEX_TYPES, *MANIFEST_TYPES])}
HUB = "https://registry-1.docker.io"


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def token_for(client: Any, url: str, user: Mapping[str, str] | None = None) -> dict[str, str]:
    """Do what the challenge of a URL asks for."""
    refused = client.ask(url)
    assert refused.status == 401
    assert refused.json()["errors"][0]["code"] == "UNAUTHORIZED"
    fields = dict(re.findall(r'(\w+)="([^"]*)"', refused.headers["WWW-Authenticate"]))
    realm = fields.pop("realm")
    answer = client.ask(f"{realm}?{urlencode(fields)}", user)
    assert answer.status == 200
    return {"Authorization": f"Bearer {answer.json()['token']}"}


def test_docker_hub_gives_tokens_elsewhere(upstream: FaultyUpstream, client: Any) -> None:
    made = upstream.add_image("docker.io/calico/node:v3", platforms=["linux/amd64", "linux/arm64"])
    assert client.ask(f"{HUB}/v2/").headers["WWW-Authenticate"] == (
        'Bearer realm="https://auth.docker.io/token",service="registry.docker.io"'
    )
    url = f"{HUB}/v2/calico/node/manifests/v3"
    allowed = token_for(client, url)
    answer = client.ask(url, {**allowed, **EVERY_TYPE})
    assert answer.headers["Docker-Content-Digest"] == str(made.digest)
    assert answer.headers["Content-Type"] == INDEX_TYPES[1]
    assert hashlib.sha256(answer.body).hexdigest() == made.digest.hex
    by_digest = client.ask(
        f"{HUB}/v2/calico/node/manifests/{made.digest}", {**allowed, **EVERY_TYPE}
    )
    assert by_digest.body == answer.body
    head = client.ask(url, {**allowed, **EVERY_TYPE}, method="HEAD")
    assert (head.headers["Content-Length"], head.body) == (str(len(answer.body)), b"")


def test_a_token_is_good_for_its_repository_only(upstream: FaultyUpstream, client: Any) -> None:
    upstream.add_image("docker.io/calico/node:v3")
    upstream.add_image("docker.io/calico/cni:v3")
    allowed = token_for(client, f"{HUB}/v2/calico/node/manifests/v3")
    refused = client.ask(f"{HUB}/v2/calico/cni/manifests/v3", allowed)
    assert refused.status == 401
    assert refused.headers["WWW-Authenticate"].endswith(
        ',scope="repository:calico/cni:pull",error="insufficient_scope"'
    )


def test_tokens_expire(upstream: FaultyUpstream, client: Any) -> None:
    upstream.add_image("docker.io/calico/node:v3")
    tokens = upstream.registry("docker.io").tokens
    tokens.seconds, now = 60, [0.0]
    tokens.clock = lambda: now[0]
    url = f"{HUB}/v2/calico/node/manifests/v3"
    allowed = token_for(client, url)
    now[0] = 59.9
    assert client.ask(url, {**allowed, **EVERY_TYPE}).status == 200
    now[0] = 60.0
    refused = client.ask(url, allowed)
    assert refused.status == 401
    assert refused.headers["WWW-Authenticate"].endswith(',error="invalid_token"')


def test_the_fault_of_an_expired_token(upstream: FaultyUpstream, client: Any) -> None:
    upstream.add_image("docker.io/calico/node:v3")
    url = f"{HUB}/v2/calico/node/manifests/v3"
    allowed = token_for(client, url)
    upstream.faults.add(faults.ExpiredToken(), path="*/manifests/*", times=1)
    assert client.ask(url, allowed).status == 401
    assert client.ask(url, allowed).status == 401
    assert client.ask(url, {**token_for(client, url), **EVERY_TYPE}).status == 200


@pytest.mark.parametrize("field", ["token", "access_token"])
def test_services_name_their_tokens_differently(
    upstream: FaultyUpstream, client: Any, field: Any
) -> None:
    upstream.registry("docker.io").tokens.field = field
    answer = client.ask("https://auth.docker.io/token?service=registry.docker.io")
    assert sorted(answer.json()) == sorted([field, "expires_in"])


def test_the_token_service_knows_its_users(upstream: FaultyUpstream, client: Any) -> None:
    profile = FullProfile(
        host="private.example.org", content="private.example.org", private=("team/*",)
    )
    upstream.registry("private.example.org", profile).tokens.users["me"] = "secret"
    upstream.add_image("private.example.org/team/app:1")
    url = "https://private.example.org/v2/team/app/manifests/1"
    anybody = token_for(client, url)
    assert "insufficient_scope" in client.ask(url, anybody).headers["WWW-Authenticate"]
    service = "https://private.example.org/v2/token?service=private.example.org"
    assert client.ask(service, basic("me", "wrong")).status == 401
    assert client.ask(service, {"Authorization": "Basic !"}).status == 401
    mine = token_for(client, url, basic("me", "secret"))
    assert client.ask(url, {**mine, **EVERY_TYPE}).status == 200


def test_a_registry_may_want_the_password_itself(upstream: FaultyUpstream, client: Any) -> None:
    profile = FullProfile(host="old.example.org", content="old.example.org", auth="basic")
    upstream.registry("old.example.org", profile).tokens.users["me"] = "secret"
    refused = client.ask("https://old.example.org/v2/")
    assert refused.headers["WWW-Authenticate"] == 'Basic realm="old.example.org"'
    assert client.ask("https://old.example.org/v2/", basic("me", "wrong")).status == 401
    assert client.ask("https://old.example.org/v2/", basic("me", "secret")).status == 200


def test_blobs_lie_at_a_store_that_takes_no_token(upstream: FaultyUpstream, client: Any) -> None:
    made = upstream.add_image("docker.io/calico/node:v3", size=5000)
    digest = max(made.blobs, key=lambda one: upstream.image_store.path(one).stat().st_size)
    url = f"{HUB}/v2/calico/node/blobs/{digest}"
    allowed = token_for(client, url)
    sent_on = client.ask(url, allowed)
    assert sent_on.status == 307
    there = sent_on.headers["Location"]
    assert there.startswith("https://production.cloudflare.docker.com/registry-v2/")
    with_token = client.ask(there, allowed)
    assert (with_token.status, b"Only one auth mechanism allowed" in with_token.body) == (400, True)
    answer = client.ask(there)
    assert hashlib.sha256(answer.body).hexdigest() == digest.hex
    assert client.follow(url, allowed).body == answer.body
    assert client.ask(there, {"Range": "bytes=10-19"}).body == answer.body[10:20]


def test_the_store_checks_its_signatures(upstream: FaultyUpstream, client: Any) -> None:
    made = upstream.add_image("quay.io/tigera/operator:v1")
    url = f"https://quay.io/v2/tigera/operator/blobs/{min(made.blobs)}"
    allowed = token_for(client, url)
    there = client.ask(url, allowed).headers["Location"]
    assert b"SignatureDoesNotMatch" in client.ask(there[:-1] + "é".encode().hex()).body
    assert client.ask(there.partition("?")[0]).status == 403
    assert client.ask(there, method="HEAD").status == 403  # signed for GET
    head = client.ask(url, allowed, method="HEAD").headers["Location"]
    assert client.ask(head, method="HEAD").status == 200
    storage = upstream.registry("quay.io").storage
    assert storage is not None
    storage.clock = lambda: 1 << 40
    assert b"Request has expired" in client.ask(there).body


def test_the_old_kubernetes_registry_sends_to_the_new_one(
    upstream: FaultyUpstream, client: Any
) -> None:
    made = upstream.add_image("k8s.gcr.io/pause:3.2")
    answer = client.ask("https://k8s.gcr.io/v2/pause/manifests/3.2")
    assert answer.status == 302
    assert answer.headers["Location"] == "https://registry.k8s.io/v2/pause/manifests/3.2"
    answer = client.ask(answer.headers["Location"])
    assert answer.status == 307
    assert answer.headers["Location"] == (
        "https://us-central1-docker.pkg.dev/v2/k8s-artifacts-prod/images/pause/manifests/3.2"
    )
    final = client.ask(answer.headers["Location"], EVERY_TYPE)
    assert final.headers["Docker-Content-Digest"] == str(made.digest)
    blob = f"https://k8s.gcr.io/v2/pause/blobs/{min(made.blobs)}"
    assert hashlib.sha256(client.follow(blob).body).hexdigest() == min(made.blobs).hex


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v2/_other", "NOT_FOUND"),
        ("/v2/nothing/manifests/1", "NAME_UNKNOWN"),
        ("/v2/coredns/manifests/2", "MANIFEST_UNKNOWN"),
        (f"/v2/coredns/manifests/sha256:{'0' * 64}", "MANIFEST_UNKNOWN"),
        ("/v2/coredns/manifests/sha256:odd", "MANIFEST_UNKNOWN"),
        (f"/v2/coredns/blobs/sha256:{'0' * 64}", "BLOB_UNKNOWN"),
        ("/v2/coredns/blobs/odd", "BLOB_UNKNOWN"),
    ],
)
def test_what_is_not_there(upstream: FaultyUpstream, client: Any, path: str, code: str) -> None:
    profile = FullProfile(host="open.example.org", content="open.example.org", auth="none")
    upstream.registry("open.example.org", profile)
    upstream.add_image("open.example.org/coredns:1")
    answer = client.ask(f"https://open.example.org{path}")
    assert (answer.status, answer.json()["errors"][0]["code"]) == (404, code)


def test_lists_come_in_pages(upstream: FaultyUpstream, client: Any) -> None:
    profile = FullProfile(host="paged.example.org", content="paged.example.org", auth="none")
    upstream.registry("paged.example.org", profile)
    names = [f"team/app{number}" for number in range(5)]
    for name in names:
        upstream.add_image(f"paged.example.org/{name}:1")
    url = "https://paged.example.org/v2/_catalog?n=2"
    found = []
    for _ in range(3):
        answer = client.ask(url)
        found += answer.json()["repositories"]
        link = answer.headers.get("Link", "")
        url = f"https://paged.example.org{link[1:].partition('>')[0]}"
    assert (found, link) == (names, "")
    answer = client.ask("https://paged.example.org/v2/team/app1/tags/list?n=9")
    assert answer.json() == {"name": "team/app1", "tags": ["1"]}


def test_the_registry_can_only_be_read(upstream: FaultyUpstream, client: Any) -> None:
    profile = FullProfile(host="open.example.org", content="open.example.org", auth="none")
    upstream.registry("open.example.org", profile)
    assert client.ask("https://open.example.org/v2/a/blobs/uploads/", method="POST").status == 405


def test_clients_that_know_no_index_get_what_registries_give_them(
    upstream: FaultyUpstream, client: Any
) -> None:
    profile = FullProfile(host="open.example.org", content="open.example.org", auth="none")
    upstream.registry("open.example.org", profile)
    upstream.add_image("open.example.org/old:1", platforms=["linux/arm64", "linux/amd64"])
    upstream.add_image("open.example.org/new:1", era="oci")
    answer = client.ask("https://open.example.org/v2/old/manifests/1")
    assert answer.headers["Content-Type"] == MANIFEST_TYPES[1]
    config = json.loads(
        client.ask(
            f"https://open.example.org/v2/old/blobs/{answer.json()['config']['digest']}"
        ).body
    )
    assert config["architecture"] == "amd64"
    refused = client.ask("https://open.example.org/v2/new/manifests/1")
    assert refused.json()["errors"][0]["message"].startswith("OCI index found")


def test_types_may_be_accepted_line_by_line(upstream: FaultyUpstream) -> None:
    made = upstream.add_image("registry.k8s.io/pause:3.2")
    host, _, port = upstream.listen("us-central1-docker.pkg.dev").partition(":")
    lines = ["GET /v2/k8s-artifacts-prod/images/pause/manifests/3.2 HTTP/1.1", "Host: x"]
    lines += [f"Accept: {kind}" for kind in (*INDEX_TYPES, *MANIFEST_TYPES)]
    with socket.create_connection((host, int(port)), 10) as client:
        client.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode())
        with client.makefile("rb") as file:
            answer = file.read()
    assert f"Docker-Content-Digest: {made.digest}\r\n".encode() in answer


def test_tags_are_listed(upstream: FaultyUpstream, at_loopback: Any) -> None:
    upstream.add_image("registry.k8s.io/pause:3.2")
    upstream.add_image("registry.k8s.io/pause:3.1")
    answer = at_loopback(upstream.listen("registry.k8s.io"), "/v2/pause/tags/list")
    assert answer.json() == {"name": "pause", "tags": ["3.1", "3.2"]}


def test_the_challenge_leads_to_loopback_where_there_is_no_proxy(
    upstream: FaultyUpstream, at_loopback: Any
) -> None:
    upstream.add_image("docker.io/calico/node:v3")
    answer = at_loopback(upstream.listen("docker.io"), "/v2/")
    realm = f"http://{upstream.listen('auth.docker.io')}/token"
    assert answer.headers["WWW-Authenticate"].startswith(f'Bearer realm="{realm}"')


@pytest.mark.parametrize("era", ["docker", "oci"])
def test_an_image_is_whole(upstream: FaultyUpstream, era: Any) -> None:
    made = upstream.add_image(
        "example.org/app:1",
        platforms=["linux/amd64", "linux/arm/v7", "windows/amd64@10.0.17763.1"],
        bases=[("common", 3000)],
        size=9000,
        era=era,
        attestations=era == "oci",
    )
    shelf = upstream.image_store
    index = json.loads(shelf.path(made.digest).read_bytes())
    platforms = [entry["platform"] for entry in index["manifests"]]
    assert platforms[:3] == [
        {"architecture": "amd64", "os": "linux"},
        {"architecture": "arm", "os": "linux", "variant": "v7"},
        {"architecture": "amd64", "os": "windows", "os.version": "10.0.17763.1"},
    ]
    assert [one["os"] for one in platforms[3:]] == (["unknown"] * 3 if era == "oci" else [])
    seen = set()
    for entry in index["manifests"][:3]:
        content = (shelf.folder / entry["digest"].removeprefix("sha256:")).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (
            entry["size"],
            entry["digest"].removeprefix("sha256:"),
        )
        manifest = json.loads(content)
        config = (shelf.folder / manifest["config"]["digest"].removeprefix("sha256:")).read_bytes()
        diffs = []
        for layer in manifest["layers"]:
            packed = (shelf.folder / layer["digest"].removeprefix("sha256:")).read_bytes()
            assert len(packed) == layer["size"]
            diffs.append(f"sha256:{hashlib.sha256(gzip.decompress(packed)).hexdigest()}")
            seen.add(layer["digest"])
        assert json.loads(config)["rootfs"]["diff_ids"] == diffs
    assert {str(blob) for blob in made.blobs} >= seen


def test_base_layers_are_shared(upstream: FaultyUpstream) -> None:
    one = upstream.add_image("example.org/one:1", bases=[("common", 3000)])
    two = upstream.add_image("example.org/two:1", bases=[("common", 3000)])
    assert len(one.blobs & two.blobs) == 1


def test_the_same_image_has_the_same_digest_everywhere(
    upstream: FaultyUpstream, tmp_path: Any
) -> None:
    from fault_lab.upstream import FaultyUpstream as Another

    one = upstream.add_image("k8s.gcr.io/etcd:3.4.3-0")
    two = upstream.add_image("mirror.example.org/google_containers/etcd:3.4.3-0")
    with Another(tmp_path) as other:
        three = other.add_image("registry.k8s.io/etcd:3.4.3-0")
    assert one == two == three


def test_a_layer_has_a_program_that_runs(upstream: FaultyUpstream, tmp_path: Any) -> None:
    import platform
    import subprocess

    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine())
    if architecture is None:
        pytest.skip("the lab has no program for this processor")
    made = upstream.add_image("example.org/app:1", platforms=[f"linux/{architecture}"])
    layer = max(made.blobs, key=lambda one: upstream.image_store.path(one).stat().st_size)
    with tarfile.open(fileobj=io.BytesIO(upstream.image_store.path(layer).read_bytes())) as tar:
        tar.extract("lab", tmp_path, filter="data")
    done = subprocess.run([tmp_path / "lab"], capture_output=True, text=True, check=True)
    assert done.stdout == "airseed lab: this program stands in for the real one\n"


def test_pulls_are_counted_where_a_registry_counts_them(
    upstream: FaultyUpstream, client: Any
) -> None:
    """As Docker Hub does it: GET takes one, HEAD takes none, and none left is 429."""
    upstream.add_image("docker.io/calico/node:v3")
    upstream.add_image("quay.io/calico/node:v3")
    upstream.registry("docker.io").allowance = PullLimit(pulls=100, left=2)
    url = f"{HUB}/v2/calico/node/manifests/v3"
    allowed = {**token_for(client, url), **EVERY_TYPE}
    limits = []
    for method in ("HEAD", "GET", "HEAD", "GET", "HEAD", "GET"):
        answer = client.ask(url, allowed, method=method)
        assert answer.headers["RateLimit-Limit"] == "100;w=21600"
        assert answer.headers["Docker-RateLimit-Source"] == "192.0.2.7"
        limits.append((answer.status, answer.headers["RateLimit-Remaining"]))
    assert limits == [
        (200, "2;w=21600"),
        (200, "1;w=21600"),
        (200, "1;w=21600"),
        (200, "0;w=21600"),
        (200, "0;w=21600"),
        (429, "0;w=21600"),
    ]
    assert answer.json()["errors"][0]["code"] == "TOOMANYREQUESTS"
    other = "https://quay.io/v2/calico/node/manifests/v3"
    elsewhere = client.ask(other, {**token_for(client, other), **EVERY_TYPE})
    assert (elsewhere.status, elsewhere.headers["RateLimit-Remaining"]) == (200, None)

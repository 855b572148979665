"""No node holds a secret that it has no need of: all rendered output is searched."""

from __future__ import annotations

import base64
import gzip
import itertools
import json
from typing import TYPE_CHECKING

import plans
import pytest
import yaml

from builder.render import inventory, iso
from builder.render.seed import seed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.model.cluster import Node
    from builder.render.plan import Plan

CLUSTER = """\
kubernetes: 1.18.5
endpoint: api.example.com
registry: registry.example.com:5000/k8s
seed: {{phone-home: "https://boots.example.com/"}}
{pki}
nodes:
  - {{name: first, role: control-plane, address: 10.0.0.1}}
  - name: second
    role: control-plane
    address: 10.0.0.2
    machine: {{registry: {{credentials: auth.json}}}}
  - {{name: third, role: control-plane, address: 10.0.0.3}}
  - {{name: worker, role: worker, address: 10.0.0.4}}
"""
LOGIN = base64.b64encode(b"me:s3cret-of-the-registry").decode()
SHARED = {
    "etcd/ca.key": plans.PEM.format("EC PRIVATE KEY"),
    "sa.key": plans.PEM.format("PRIVATE KEY"),
}
SECRET = {
    "token": plans.TOKEN,
    "certificate key": plans.CERTIFICATE_KEY,
    "phone-home token": plans.PHONE_HOME_TOKEN,
    "authority": "RSA PRIVATE KEY",
    "etcd's authority": "EC PRIVATE KEY",
    "login": LOGIN,
}
ALL = {"token", "phone-home token"}
NEEDED = {
    "first": ALL | {"certificate key", "authority", "etcd's authority"},
    "second": ALL | {"certificate key", "login"},
    "third": ALL | {"certificate key"},
    "worker": ALL,
}


def made(pki: str) -> Plan:
    auth = json.dumps({"auths": {"registry.example.com:5000": {"auth": LOGIN}}}).encode()
    return plans.plan(CLUSTER.format(pki=pki), files={"auth.json": auth}, shared=SHARED)


def texts(value: object) -> Iterator[str]:
    """Return every text in a document, unpacked as far as the node will unpack it."""
    if isinstance(value, dict):
        for item in itertools.chain(value, value.values()):
            yield from texts(item)
        if value.get("encoding") in {"b64", "base64"}:
            yield from packed(base64.b64decode(value["content"]))
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
    else:
        yield str(value)


def packed(content: bytes) -> Iterator[str]:
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    yield content.decode("utf-8", "replace")


def held(plan: Plan, node: Node) -> set[str]:
    """Return the names of the secrets that anything of a node's seed holds."""
    files = seed(plan, node)
    found = [*packed(iso.render(files))]
    for content in files.values():
        found += packed(content)
        found += texts(yaml.safe_load(next(packed(content))))
    everything = "\n".join(found)
    return {name for name, secret in SECRET.items() if secret in everything}


@pytest.mark.parametrize(
    ("pki", "without"),
    [
        ("", {"etcd's authority"}),
        ("pki: {files: pki}", set()),
        ("pki: on-node", {"authority", "etcd's authority"}),
    ],
)
def test_a_node_holds_what_it_needs_and_nothing_else(pki: str, without: set[str]) -> None:
    plan = made(pki) if pki.startswith("pki: {") else plans_without_shared(pki)
    found = {node.name: held(plan, node) for node in plan.cluster.nodes}
    assert found == {name: needed - without for name, needed in NEEDED.items()}


def plans_without_shared(pki: str) -> Plan:
    auth = json.dumps({"auths": {"registry.example.com:5000": {"auth": LOGIN}}}).encode()
    return plans.plan(CLUSTER.format(pki=pki), files={"auth.json": auth})


def test_who_posts_nowhere_gets_no_token_for_it() -> None:
    lines = CLUSTER.format(pki="").splitlines(keepends=True)
    text = "".join(line for line in lines if not line.startswith("seed:"))
    plan = plans.plan(
        text, files={"auth.json": b'{"auths": {"registry.example.com:5000": {"auth": "eA=="}}}'}
    )
    assert {"phone-home token"} & set().union(
        *(held(plan, node) for node in plan.cluster.nodes)
    ) == set()


def test_the_inventory_holds_none() -> None:
    text = inventory.render(made("").cluster)
    assert [name for name, secret in SECRET.items() if secret in text] == []


def test_files_with_secrets_are_for_root_alone() -> None:
    plan = made("pki: {files: pki}")
    for node in plan.cluster.nodes:
        for file in yaml.safe_load(seed(plan, node)["user-data"])["write_files"]:
            text = "\n".join(texts(file))
            if any(secret in text for secret in SECRET.values()):
                assert file["permissions"] == "0600", file["path"]
                assert file.get("owner", "root:root") == "root:root"

"""The fingerprint of what a cluster asks for: of plain values, whatever classes hold them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from builder.model.catalog.repositories import CatalogRepository, Key
from builder.model.cluster import SignerSettings
from builder.model.demand import Demand, WantedBuilds, WantedFile, WantedImage, WantedPackage
from builder.model.digest import Digest
from builder.model.fingerprint import fields, fingerprint
from builder.model.lock import Fingerprint
from builder.model.recipe import PackedFile, Program, Recipe
from builder.model.reference import Reference
from builder.model.rpm import Nevra
from builder.model.signer import Identity

UNUSED: Any = None
"""Releases: all that they make a cluster ask for is listed beside them."""
DEMAND = Demand(
    kubernetes=UNUSED,
    os=UNUSED,
    runtime=UNUSED,
    calico=None,
    cni="none",
    images=(
        WantedImage(
            reference=Reference.parse("k8s.gcr.io/pause:3.2"),
            roles=("control-plane", "worker"),
            needed_by=("kubeadm", "runtime"),
        ),
    ),
    packages=(
        WantedPackage(
            request="kubeadm-1.18.5-0", repository="site-kubernetes", needed_by=("kubeadm",)
        ),
        WantedPackage(request="tcpdump", needed_by=("extra",)),
    ),
    manifests=(
        WantedFile(
            kind="manifest",
            path="manifests/001-calico.yaml",
            sources=("https://example.org/calico.yaml",),
            needed_by=("calico",),
        ),
    ),
    files=(
        WantedFile(
            kind="file",
            path="files/motd",
            sources=("site/motd",),
            needed_by=("extra",),
            digest=Digest("a" * 64),
        ),
    ),
    repositories=(
        CatalogRepository(
            name="base", sources=("https://example.org/",), keys=("k",), metadata="signed"
        ),
    ),
    keys=(Key(name="k", fingerprint="ABCD" * 10, sources=("https://example.org/k.asc",)),),
    metadata_keys=(),
    signers=(
        SignerSettings(
            name="site",
            images=("registry.example.com/*",),
            keys=("cosign.pub",),
            identities=(Identity(subject="a@example.com", issuer="https://example.com"),),
        ),
    ),
    builds=WantedBuilds(
        repository="site-kubernetes",
        recipes=(
            Recipe(
                nevra=Nevra.parse("kubeadm-1.18.5-0.x86_64"),
                summary="s",
                licence="ASL 2.0",
                url="https://example.org",
                requires=("kubelet >= 1.13.0",),
                files=(PackedFile(path="/usr/bin/kubeadm", program="kubeadm"),),
                scripts={"post": "true"},
                programs=(Program(name="kubeadm", digest=Digest("b" * 64)),),
            ),
        ),
    ),
)
FIELDS = {
    "images": [{"image": "k8s.gcr.io/pause:3.2", "roles": ["control-plane", "worker"]}],
    "packages": [
        {"package": "kubeadm-1.18.5-0", "repository": "site-kubernetes"},
        {"package": "tcpdump", "repository": None},
    ],
    "files": [
        {"path": "manifests/001-calico.yaml", "digest": None, "sources": []},
        {"path": "files/motd", "digest": f"sha256:{'a' * 64}", "sources": ["site/motd"]},
    ],
    "repositories": ["base"],
    "keys": [{"name": "k", "fingerprint": "ABCD" * 10}],
    "signers": [
        {
            "name": "site",
            "images": ["registry.example.com/*"],
            "keys": ["cosign.pub"],
            "identities": [{"subject": "a@example.com", "issuer": "https://example.com"}],
            "authority": "sigstore",
            "required": True,
        }
    ],
    "builds": [
        {
            "package": "kubeadm-1.18.5-0.x86_64",
            "summary": "s",
            "licence": "ASL 2.0",
            "url": "https://example.org",
            "requires": ["kubelet >= 1.13.0"],
            "files": [
                {
                    "path": "/usr/bin/kubeadm",
                    "program": "kubeadm",
                    "archive": None,
                    "member": None,
                    "text": None,
                    "folder": False,
                    "config": False,
                }
            ],
            "scripts": {"post": "true"},
            "programs": [{"name": "kubeadm", "digest": f"sha256:{'b' * 64}"}],
        }
    ],
}


def test_what_is_asked_for_as_plain_values() -> None:
    assert json.loads(json.dumps(fields(DEMAND))) == FIELDS


def test_the_fingerprint_is_of_canonical_json() -> None:
    text = json.dumps(FIELDS, sort_keys=True, separators=(",", ":")).encode()
    assert fingerprint(DEMAND) == Fingerprint(1, Digest(hashlib.sha256(text).hexdigest()))
    # as long as its version is 1, this is what locks have; another one needs another version
    assert str(fingerprint(DEMAND)) == (
        "1:sha256:8a5874968df90509571d660077adbff37f129f7d3a526d8aef1ddb814dea741d"
    )


def test_a_fingerprint_as_the_first_locks_have_it_has_no_version() -> None:
    text = f"sha256:{'c' * 64}"
    assert Fingerprint.parse(text) == Fingerprint(0, Digest("c" * 64))
    assert str(Fingerprint.parse(text)) == text
    assert str(Fingerprint.parse(f"1:{text}")) == f"1:{text}"

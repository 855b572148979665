"""Files below ``kubernetes/``: one minor version each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.formats import terms
from builder.formats.catalog.words import (
    _EVR,
    API_VERSION,
    BY_FAMILY,
    DIGEST,
    ENTRY,
    EVR,
    NAME,
    PACKAGE_NAME,
    SERIES_NAME,
    TAG,
    VERSION,
    by_patch,
    prefix,
    word,
)
from builder.formats.records import Field, ListOf, MapOf, Record, required
from builder.formats.shape import Flag, OneOf, Text
from builder.model.catalog.kubernetes import ROLES, Component, Defaults, DualStack, RuntimeSupport
from builder.model.reference import Reference

if TYPE_CHECKING:
    from typing import Any

_OWN_EVR = word(
    rf"{_EVR}|\$version(?:-[A-Za-z0-9_.+~^]+)?", "[EPOCH:]VERSION-RELEASE or $version", "$version-0"
)
_API = word(API_VERSION, "an API version", "v1beta2")


def _kubernetes(
    registry: dict[int, str],
    images: dict[str, dict[str, Any]],
    packages: dict[str, Any],
    **fields: Any,
) -> dict[str, Any]:
    components = tuple(
        Component(**{**entry, "name": name, "path": entry["path"] or name})
        for name, entry in images.items()
    )
    for host in registry.values():
        for component in components:
            Reference.parse(f"{host}/{component.path}")
    return {**fields, "registry": registry, "components": components, **packages}


KUBERNETES: Record[dict[str, Any]] = Record(
    _kubernetes,
    {
        **required(dict.fromkeys(("kubeadm", "kubelet", "kube-proxy"), _API)),
        "registry": Field(
            by_patch(Text(parse=prefix, expected="a registry", example="k8s.gcr.io")), required=True
        ),
        "defaults": Field(
            Record(Defaults, required(dict.fromkeys(("os", "runtime", "cni"), ENTRY))),
            required=True,
        ),
        "images": Field(
            MapOf(
                Record(
                    dict,
                    {
                        "path": Field(word(r"[a-z0-9][a-z0-9._/-]*", "a path", "coredns/coredns")),
                        "roles": Field(ListOf(OneOf(ROLES), least=1), required=True),
                        "tag": Field(OneOf(("release", "patch")), default="release"),
                        "sandbox": Field(Flag(), default=False),
                    },
                ),
                key=NAME,
            ),
            required=True,
        ),
        "tags": Field(by_patch(MapOf(TAG, key=NAME)), required=True),
        "avoid": Field(by_patch(Text[str]()), default={}),
        "packages": Field(
            Record(
                dict,
                {
                    "repositories": Field(BY_FAMILY, required=True),
                    "versioned": Field(MapOf(_OWN_EVR, key=terms.PACKAGE), required=True),
                    "pins": Field(by_patch(MapOf(EVR, key=terms.PACKAGE)), default={}),
                    "unpinned": Field(ListOf(PACKAGE_NAME), default=()),
                    "sha256": Field(MapOf(DIGEST), default={}, name="digests"),
                },
            ),
            required=True,
        ),
        "runtimes": Field(
            MapOf(
                Record(
                    RuntimeSupport,
                    {
                        "socket": Field(
                            word(r"(?:unix://)?/[A-Za-z0-9._/-]+", "a socket", "/run/x.sock"),
                            required=True,
                        ),
                        "validated": Field(ListOf(SERIES_NAME), default=()),
                        "oldest": Field(VERSION),
                    },
                ),
                key=NAME,
            ),
            required=True,
        ),
        "without": Field(MapOf(Text[str](), key=NAME), default={}),
        "taints": Field(
            ListOf(word(r"[a-z0-9./-]+", "a taint's key", "node-role.kubernetes.io/master")),
            default=(),
        ),
        "dual-stack": Field(
            Record(
                DualStack,
                {
                    "gate": Field(word(r"[A-Z][A-Za-z0-9]+", "a feature gate", "IPv6DualStack")),
                    "node-ips": Field(OneOf(("one", "both")), default="both"),
                },
            ),
            default=DualStack(),
        ),
    },
)

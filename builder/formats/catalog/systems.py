"""Files below ``os/`` and ``cloud-init/``, and the tables of kernels, providers and eviction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.formats import terms
from builder.formats.catalog.words import (
    DIGEST,
    ENTRY,
    FILE_NAME,
    NAME,
    NAMES,
    PACKAGE_NAME,
    SERIES,
    URLS,
    VERSION,
    word,
)
from builder.formats.records import Field, ListOf, MapOf, Record, required
from builder.formats.shape import Number, OneOf, Text
from builder.model.catalog.systems import Iso
from builder.model.platform import Platform

if TYPE_CHECKING:
    from typing import Any

KERNELS = MapOf(VERSION, key=SERIES)
_PORT = word(
    r"[0-9]{1,5}(?:-[0-9]{1,5})?/(?:tcp|udp)|[a-z][a-z0-9]{0,15}", "a port or protocol", "6443/tcp"
)
PORTS = MapOf(ListOf(_PORT), key=NAME)


def _system(base: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {**fields, "groups": base["groups"], "installed": base["packages"]}


OS: Record[dict[str, Any]] = Record(
    _system,
    {
        "family": Field(ENTRY, required=True),
        "platforms": Field(
            ListOf(
                Text(parse=Platform.parse, expected="a platform", example="linux/amd64"), least=1
            ),
            required=True,
        ),
        **required({"kernel": VERSION, "cloud-init": VERSION, "repositories": NAMES}),
        "base": Field(
            Record(
                dict,
                {
                    "groups": Field(MapOf(ListOf(PACKAGE_NAME), key=NAME), default={}),
                    "packages": Field(ListOf(PACKAGE_NAME), default=()),
                },
            ),
            required=True,
        ),
        "packages": Field(MapOf(Text[str](), key=terms.PACKAGE), default={}),
        "isos": Field(
            MapOf(
                Record(
                    Iso,
                    {
                        **required({"file": FILE_NAME, "sources": URLS}),
                        "sha256": Field(DIGEST, required=True, name="digest"),
                    },
                ),
                key=NAME,
            ),
            default={},
        ),
    },
)
_MODULE = r"[a-z][a-z0-9_-]{0,62}"
_USER_DATA_KEY = r"[a-z][a-z0-9_-]{0,62}"
_MODULES = ListOf(word(_MODULE, "a module of cloud-init", "write-files"), least=1)
_WORDS = ListOf(word(_USER_DATA_KEY, "a key of user-data", "write_files"), least=1)
LOST = ("bond-mtu", "ipv6-routes", "vlan-mtu")


def _cloud_init(
    keys: dict[str, tuple[str, ...]], network: dict[str, Any], **fields: Any
) -> dict[str, Any]:
    owners = {key: module for module, names in keys.items() for key in names}
    if len(owners) < sum(map(len, keys.values())):
        raise ValueError("keys: a key has two modules")
    return {**fields, "keys": owners, **network}


CLOUD_INIT: Record[dict[str, Any]] = Record(
    _cloud_init,
    {
        **required(
            {
                "modules": _MODULES,
                "keys": MapOf(_WORDS, key=_MODULE),
                "entries": MapOf(_WORDS, key=_USER_DATA_KEY),
                "encodings": ListOf(word(r"[a-z0-9+]{1,20}", "an encoding", "b64"), least=1),
            }
        ),
        "network": Field(
            Record(
                dict,
                {
                    "bond-options": Field(_WORDS, required=True),
                    "lost-in-version-2": Field(ListOf(OneOf(LOST)), default=(), name="lost"),
                },
            ),
            required=True,
        ),
    },
)
_PROVIDER: Record[dict[str, Any]] = Record(
    dict,
    {"bytes": Field(Number(least=1)), "counted": Field(OneOf(("raw", "base64")), default="raw")},
)
PROVIDERS = MapOf(_PROVIDER, key=NAME)
_LIMITS = MapOf(
    word(r"[0-9]{1,4}(?:[KMG]i|%)", "an amount, or a part of it", "1Gi"),
    key=r"(?:memory|nodefs|imagefs|pid)\.(?:available|inodesFree)",
)
EVICTION: Record[dict[str, Any]] = Record(dict, required({"kubelet": _LIMITS, "bundled": _LIMITS}))

"""The kinds of files in a catalog: how each is called, which keys it has, what it becomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from builder.formats import signers
from builder.formats.catalog import builds
from builder.formats.cluster import terms
from builder.formats.shape import (
    Choice,
    Field,
    Flag,
    ListOf,
    MapOf,
    MisfitError,
    Number,
    Record,
    Text,
)
from builder.model.catalog import (
    ROLES,
    CalicoSeries,
    CloudInit,
    Component,
    Defaults,
    DualStack,
    ImageSources,
    Iso,
    Key,
    KubernetesSeries,
    ManifestFile,
    OldestSystem,
    OperatingSystem,
    Repository,
    RuntimeSeries,
    RuntimeSupport,
)
from builder.model.configuration import FieldType, Table
from builder.model.platform import Platform
from builder.model.recipe import Binaries, Builds
from builder.model.reference import Reference
from builder.model.signer import Authority
from builder.model.source import is_url

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = r"[a-z][a-z0-9.-]{0,62}"
SERIES = r"(?:0|[1-9][0-9]{0,3})\.[0-9]{1,4}"
_PATCH = r"0|[1-9][0-9]{0,3}"
_EVR = r"(?:[0-9]{1,10}:)?[A-Za-z0-9_.+~^]+-[A-Za-z0-9_.+~^]+"
_SUFFIX = "/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Describe the files of one folder."""

    name: str
    """The pattern of a file's name; its groups go to ``build``."""
    example: str
    shape: Record[dict[str, Any]]
    build: Callable[..., Any]


def _url(text: str) -> str:
    if not is_url(text):
        raise MisfitError(f"{text!r} is not a URL")
    terms.source(text)
    if urlsplit(text).query or urlsplit(text).fragment:
        raise MisfitError(f"{text!r} has more than a path")
    return text


def _folder(text: str) -> str:
    if not text.endswith(_SUFFIX):
        raise MisfitError(f"{text!r} does not end in a slash", hint=f"write {text}/")
    _url(f"{text}x")
    return text


def _fingerprint(text: str) -> str:
    found = text.replace(" ", "")
    if len(found) not in {40, 64} or not all(digit in "0123456789ABCDEF" for digit in found):
        raise MisfitError(f"{text!r} is not a fingerprint")
    return found


def _prefix(text: str) -> str:
    # two parts below it, since one alone means another folder (library/) on Docker Hub
    if Reference.parse(f"{text}/x/y").repository != f"{text}/x/y":
        raise MisfitError(f"{text!r} does not begin with a registry's host")
    return text


def _operator_image(text: str) -> str:
    _complete("example.org", text)
    return text


def _complete(registry: str, text: str) -> Reference:
    """Read an image as a release of Calico will."""
    text = text.replace("$version", "v1.0.0")
    return Reference.parse(text if "." in text.partition("/")[0] else f"{registry}/{text}")


def _word(pattern: str, expected: str, example: str) -> Text[str]:
    return Text(pattern=pattern, expected=expected, example=example)


_ENTRY = _word(NAME, "the name of an entry", "centos-7.6")
_SERIES = _word(SERIES, "major and minor version", "1.18")
_VERSION = _word(r"[0-9]{1,5}(?:\.[0-9]{1,5}){1,3}", "a version", "3.10")
_TAG = _word(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", "a tag", "3.4.3-0")
_EVR_TEXT = _word(rf"{_EVR}|\$version-[A-Za-z0-9_.+~^]+", "[EPOCH:]VERSION-RELEASE", "0.8.6-0")
_OWN_EVR = _word(
    rf"{_EVR}|\$version(?:-[A-Za-z0-9_.+~^]+)?", "[EPOCH:]VERSION-RELEASE or $version", "$version-0"
)
_PACKAGE = _word(terms.PACKAGE, "a package's name", "conntrack-tools")
_API_VERSION = r"v1(?:(?:alpha|beta)[0-9]+)?"
_API = _word(_API_VERSION, "an API version", "v1beta2")
_FILE = _word(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", "a file's name", "calico.yaml")
_URLS = ListOf(Text(parse=_url, expected="a URL", example="https://example.com/key.asc"), least=1)
_FOLDERS = ListOf(
    Text(parse=_folder, expected="the URL of a folder", example="https://example.com/el7/"), least=1
)
_NAMES = ListOf(_ENTRY, least=1)
_DIGEST: Text[Any] = Text(parse=terms.digest, expected="64 lower-case hexadecimal digits")
_BY_FAMILY = MapOf(_ENTRY, key=NAME)
_OPERATOR_IMAGES = ListOf(
    Text(parse=_operator_image, expected="an image", example="calico/node"), least=1
)
KERNELS = MapOf(_VERSION, key=SERIES)


def _kubernetes(
    registry: dict[str, str],
    images: dict[str, dict[str, Any]],
    packages: dict[str, Any],
    **said: Any,
) -> dict[str, Any]:
    components = tuple(
        Component(**{**entry, "name": name, "path": entry["path"] or name})
        for name, entry in images.items()
    )
    for host in registry.values():
        for component in components:
            Reference.parse(f"{host}/{component.path}")
    return {**said, "registry": registry, "components": components, **packages}


def _by_patch(table: dict[str, Any]) -> dict[int, Any]:
    return {int(patch): row for patch, row in table.items()}


def _build_kubernetes(**said: Any) -> KubernetesSeries:
    for table in ("registry", "tags", "avoid", "pins"):
        said[table] = _by_patch(said[table])
    return KubernetesSeries(**said)


_KUBERNETES: Record[dict[str, Any]] = Record(
    _kubernetes,
    {
        "kubeadm": Field(_API, required=True),
        "kubelet": Field(_API, required=True),
        "kube-proxy": Field(_API, required=True),
        "registry": Field(
            MapOf(Text(parse=_prefix, expected="a registry", example="k8s.gcr.io"), key=_PATCH),
            required=True,
        ),
        "defaults": Field(
            Record(
                Defaults,
                {key: Field(_ENTRY, required=True) for key in ("os", "runtime", "cni")},
            ),
            required=True,
        ),
        "images": Field(
            MapOf(
                Record(
                    dict,
                    {
                        "path": Field(_word(r"[a-z0-9][a-z0-9._/-]*", "a path", "coredns/coredns")),
                        "roles": Field(ListOf(Choice(ROLES), least=1), required=True),
                        "tag": Field(Choice(("release", "patch")), default="release"),
                        "sandbox": Field(Flag(), default=False),
                    },
                ),
                key=NAME,
            ),
            required=True,
        ),
        "tags": Field(MapOf(MapOf(_TAG, key=NAME), key=_PATCH), required=True),
        "avoid": Field(MapOf(Text[str](), key=_PATCH), default={}),
        "packages": Field(
            Record(
                dict,
                {
                    "repositories": Field(_BY_FAMILY, required=True),
                    "versioned": Field(MapOf(_OWN_EVR, key=terms.PACKAGE), required=True),
                    "pins": Field(
                        MapOf(MapOf(_EVR_TEXT, key=terms.PACKAGE), key=_PATCH), default={}
                    ),
                    "unpinned": Field(ListOf(_PACKAGE), default=()),
                    "sha256": Field(MapOf(_DIGEST), default={}, name="digests"),
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
                            _word(r"(?:unix://)?/[A-Za-z0-9._/-]+", "a socket", "/run/x.sock"),
                            required=True,
                        ),
                        "validated": Field(ListOf(_SERIES), default=()),
                        "oldest": Field(_VERSION),
                    },
                ),
                key=NAME,
            ),
            required=True,
        ),
        "without": Field(MapOf(Text[str](), key=NAME), default={}),
        "taints": Field(
            ListOf(_word(r"[a-z0-9./-]+", "a taint's key", "node-role.kubernetes.io/master")),
            default=(),
        ),
        "dual-stack": Field(
            Record(
                DualStack,
                {
                    "gate": Field(_word(r"[A-Z][A-Za-z0-9]+", "a feature gate", "IPv6DualStack")),
                    "node-ips": Field(Choice(("one", "both")), default="both"),
                },
            ),
            default=DualStack(),
        ),
    },
)
_RUNTIME: Record[dict[str, Any]] = Record(
    dict,
    {
        "repositories": Field(_BY_FAMILY, required=True),
        "releases": Field(
            MapOf(MapOf(MapOf(_EVR_TEXT, key=terms.PACKAGE), key=NAME), key=r"[0-9][0-9A-Za-z.]*"),
            required=True,
        ),
        "systems": Field(
            MapOf(
                Record(
                    OldestSystem,
                    {
                        "oldest": Field(_VERSION, required=True),
                        "reason": Field(Text[str](), required=True),
                    },
                ),
                key=NAME,
            ),
            default={},
        ),
    },
)


def _build_calico(**said: Any) -> CalicoSeries:
    said["operators"] = _by_patch(said["operators"])
    said["registry"] = _by_patch(said["registry"])
    return CalicoSeries(**said)


_COUNT = Number(least=1)
_CALICO: Record[dict[str, Any]] = Record(
    dict,
    {
        "kubernetes": Field(ListOf(_SERIES, least=1), required=True),
        "operator": Field(
            Text(
                parse=_prefix, expected="an image without a tag", example="quay.io/tigera/operator"
            ),
            required=True,
        ),
        "operators": Field(MapOf(_TAG, key=_PATCH), required=True),
        "sources": Field(_FOLDERS, required=True),
        "install": Field(
            MapOf(
                ListOf(
                    Record(
                        ManifestFile,
                        {
                            "file": Field(_FILE, required=True),
                            "least-nodes": Field(_COUNT, default=0),
                            "most-nodes": Field(_COUNT),
                        },
                    ),
                    least=1,
                ),
                key="operator|manifest",
            ),
            required=True,
        ),
        "registry": Field(
            MapOf(_word(r"[a-z0-9.:-]+", "a registry", "docker.io"), key=_PATCH), default={}
        ),
        "images": Field(MapOf(_OPERATOR_IMAGES, key=r"[A-Z][A-Za-z0-9]*"), default={}),
        "optional": Field(MapOf(_OPERATOR_IMAGES, key=r"[a-z][a-z0-9-]*"), default={}),
    },
)


def _system(base: dict[str, Any], **said: Any) -> dict[str, Any]:
    return {**said, "groups": base["groups"], "installed": base["packages"]}


_OS: Record[dict[str, Any]] = Record(
    _system,
    {
        "family": Field(_ENTRY, required=True),
        "platforms": Field(
            ListOf(
                Text(parse=Platform.parse, expected="a platform", example="linux/amd64"), least=1
            ),
            required=True,
        ),
        "kernel": Field(_VERSION, required=True),
        "cloud-init": Field(_VERSION, required=True),
        "repositories": Field(_NAMES, required=True),
        "base": Field(
            Record(
                dict,
                {
                    "groups": Field(ListOf(_ENTRY), default=()),
                    "packages": Field(ListOf(_PACKAGE), default=()),
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
                        "file": Field(_FILE, required=True),
                        "sha256": Field(_DIGEST, required=True, name="digest"),
                        "sources": Field(_URLS, required=True),
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
_MODULES = ListOf(_word(_MODULE, "a module of cloud-init", "write-files"), least=1)
_WORDS = ListOf(_word(_USER_DATA_KEY, "a key of user-data", "write_files"), least=1)
LOST = ("bond-mtu", "ipv6-routes", "vlan-mtu")


def _cloud_init(
    keys: dict[str, tuple[str, ...]], network: dict[str, Any], **said: Any
) -> dict[str, Any]:
    owners = {key: module for module, names in keys.items() for key in names}
    if len(owners) < sum(map(len, keys.values())):
        raise ValueError("keys: a key has two modules")
    return {**said, "keys": owners, **network}


_CLOUD_INIT: Record[dict[str, Any]] = Record(
    _cloud_init,
    {
        "modules": Field(_MODULES, required=True),
        "keys": Field(MapOf(_WORDS, key=_MODULE), required=True),
        "entries": Field(MapOf(_WORDS, key=_USER_DATA_KEY), required=True),
        "encodings": Field(
            ListOf(_word(r"[a-z0-9+]{1,20}", "an encoding", "b64"), least=1), required=True
        ),
        "network": Field(
            Record(
                dict,
                {
                    "bond-options": Field(_WORDS, required=True),
                    "lost-in-version-2": Field(ListOf(Choice(LOST)), default=(), name="lost"),
                },
            ),
            required=True,
        ),
    },
)
_PROVIDER: Record[dict[str, Any]] = Record(
    dict,
    {
        "bytes": Field(Number(least=1)),
        "counted": Field(Choice(("raw", "base64")), default="raw"),
    },
)
PROVIDERS = MapOf(_PROVIDER, key=NAME)
_REPOSITORY: Record[dict[str, Any]] = Record(
    dict,
    {
        "sources": Field(_FOLDERS, required=True),
        "keys": Field(_NAMES, required=True),
        "metadata": Field(Choice(("signed", "unsigned", "sometimes")), default="unsigned"),
        "metadata-keys": Field(_NAMES, default=()),
    },
)
_KEY: Record[dict[str, Any]] = Record(
    dict,
    {
        "fingerprint": Field(
            Text(parse=_fingerprint, expected="40 or 64 upper-case hexadecimal digits"),
            required=True,
        ),
        "sources": Field(_URLS, required=True),
    },
)
_TYPE_NAME = r"[A-Z][A-Za-z0-9]*"
_CONFIGURATION: Record[dict[str, Any]] = Record(
    dict,
    {
        "group": Field(_word(r"[a-z0-9.]+", "an API group", "kubeadm.k8s.io"), required=True),
        "kinds": Field(
            ListOf(_word(_TYPE_NAME, "a kind", "InitConfiguration"), least=1), required=True
        ),
        "types": Field(
            MapOf(
                MapOf(
                    Text(
                        parse=FieldType.parse,
                        expected="a field's type",
                        example="list of text since 1.19",
                    ),
                    key=r"[a-zA-Z][A-Za-z0-9]*",
                ),
                key=_TYPE_NAME,
            ),
            required=True,
        ),
    },
)
_REGISTRY: Record[dict[str, Any]] = Record(
    dict,
    {
        "prefix": Field(
            Text(parse=_prefix, expected="HOST[/PATH]", example="docker.io/calico"), required=True
        ),
        "sources": Field(
            ListOf(Text(parse=_prefix, expected="HOST[/PATH]", example="quay.io/calico"), least=1),
            required=True,
        ),
        "pulls": Field(
            Text(parse=Reference.parse, expected="an image", example="docker.io/some/image:tag")
        ),
    },
)


def _build_registry(name: str, **said: Any) -> ImageSources:
    del name  # files may be called as one likes; the prefix counts
    return ImageSources(**said)


_NAMED = rf"(?P<name>{NAME})"
_IN_SERIES = rf"(?P<series>{SERIES})"
KINDS: dict[str, Kind] = {
    "kubernetes": Kind(name=_IN_SERIES, example="1.18", shape=_KUBERNETES, build=_build_kubernetes),
    "runtimes": Kind(
        name=rf"(?P<name>[a-z][a-z0-9-]*?)-{_IN_SERIES}",
        example="docker-19.03",
        shape=_RUNTIME,
        build=RuntimeSeries,
    ),
    "calico": Kind(name=_IN_SERIES, example="3.18", shape=_CALICO, build=_build_calico),
    "os": Kind(
        name=r"(?P<name>[a-z][a-z0-9-]*?)-(?P<version>[0-9][0-9A-Za-z.]*)",
        example="centos-7.6",
        shape=_OS,
        build=OperatingSystem,
    ),
    "cloud-init": Kind(
        name=r"(?P<version>[0-9]{1,3}\.[0-9]{1,2})",
        example="19.4",
        shape=_CLOUD_INIT,
        build=CloudInit,
    ),
    "configuration": Kind(
        name=rf"(?P<name>kubeadm|kubelet|kube-proxy)-(?P<version>{_API_VERSION})",
        example="kubeadm-v1beta2",
        shape=_CONFIGURATION,
        build=Table,
    ),
    "repositories": Kind(name=_NAMED, example="docker-ce", shape=_REPOSITORY, build=Repository),
    "keys": Kind(name=_NAMED, example="centos-7", shape=_KEY, build=Key),
    "registries": Kind(name=_NAMED, example="docker.io", shape=_REGISTRY, build=_build_registry),
    "authorities": Kind(name=_NAMED, example="sigstore", shape=signers.AUTHORITY, build=Authority),
    "signers": Kind(name=_NAMED, example="kubernetes", shape=signers.SIGNER, build=dict),
    "binaries": Kind(name=_NAMED, example="crictl", shape=builds.BINARIES, build=Binaries),
    "builds": Kind(name=_NAMED, example="kubernetes-built-el7", shape=builds.BUILDS, build=Builds),
}
"""By folder."""

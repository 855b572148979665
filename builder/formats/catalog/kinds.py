"""The kinds of files in a catalog: how each is called, which keys it has, what it becomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.formats import signers
from builder.formats.catalog import builds
from builder.formats.catalog.arguments import ARGUMENTS
from builder.formats.catalog.calico import CALICO
from builder.formats.catalog.configuration import CONFIGURATION
from builder.formats.catalog.kubernetes import KUBERNETES
from builder.formats.catalog.repositories import KEY, REGISTRY, REPOSITORY
from builder.formats.catalog.runtimes import RUNTIME
from builder.formats.catalog.systems import CLOUD_INIT, OS
from builder.formats.catalog.words import API_VERSION, NAME, SERIES
from builder.model.arguments import NameTable
from builder.model.catalog.calico import CalicoSeries
from builder.model.catalog.kubernetes import KubernetesSeries
from builder.model.catalog.repositories import CatalogRepository, ImageSources, Key
from builder.model.catalog.runtimes import RuntimeSeries
from builder.model.catalog.systems import CloudInit, OperatingSystem
from builder.model.configuration import Table
from builder.model.recipe import Binaries, Builds
from builder.model.signer import Authority

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from builder.formats.records import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    name: str
    """The pattern of a file's name; its groups go to ``build``."""
    example: str
    shape: Record[dict[str, Any]]
    build: Callable[..., Any]


_NAMED = rf"(?P<name>{NAME})"
_IN_SERIES = rf"(?P<series>{SERIES})"
KINDS: dict[str, Kind] = {
    "kubernetes": Kind(name=_IN_SERIES, example="1.18", shape=KUBERNETES, build=KubernetesSeries),
    "runtimes": Kind(
        name=rf"(?P<name>[a-z][a-z0-9-]*?)-{_IN_SERIES}",
        example="docker-19.03",
        shape=RUNTIME,
        build=RuntimeSeries,
    ),
    "calico": Kind(name=_IN_SERIES, example="3.18", shape=CALICO, build=CalicoSeries),
    "os": Kind(
        name=r"(?P<name>[a-z][a-z0-9-]*?)-(?P<version>[0-9][0-9A-Za-z.]*)",
        example="centos-7.6",
        shape=OS,
        build=OperatingSystem,
    ),
    "cloud-init": Kind(
        name=r"(?P<version>[0-9]{1,3}\.[0-9]{1,2})",
        example="19.4",
        shape=CLOUD_INIT,
        build=CloudInit,
    ),
    "configuration": Kind(
        name=rf"(?P<name>kubeadm|kubelet|kube-proxy)-(?P<version>{API_VERSION})",
        example="kubeadm-v1beta2",
        shape=CONFIGURATION,
        build=Table,
    ),
    "arguments": Kind(name=_NAMED, example="kube-apiserver", shape=ARGUMENTS, build=NameTable),
    "repositories": Kind(
        name=_NAMED, example="docker-ce", shape=REPOSITORY, build=CatalogRepository
    ),
    "keys": Kind(name=_NAMED, example="centos-7", shape=KEY, build=Key),
    # files may be called as one likes; the prefix counts
    "registries": Kind(name=NAME, example="docker.io", shape=REGISTRY, build=ImageSources),
    "authorities": Kind(name=_NAMED, example="sigstore", shape=signers.AUTHORITY, build=Authority),
    "signers": Kind(name=_NAMED, example="kubernetes", shape=signers.SIGNER, build=dict),
    "binaries": Kind(name=_NAMED, example="crictl", shape=builds.BINARIES, build=Binaries),
    "builds": Kind(name=_NAMED, example="kubernetes-built-el7", shape=builds.BUILDS, build=Builds),
}
"""By folder."""

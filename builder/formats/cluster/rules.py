"""What must hold between the keys of a cluster.yaml, whatever the catalog has.

Rules see a cluster that may have gaps (:data:`builder.formats.reading.WRONG`), which are false and
empty: each rule says what it can about the rest.
"""

from __future__ import annotations

from collections import Counter
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from builder.formats.cluster.endpoint_rules import check_endpoint
from builder.formats.cluster.labels import label_misfit
from builder.formats.cluster.machine_rules import check_machines, machine_files
from builder.formats.cluster.network_rules import check_networks
from builder.formats.reading import WRONG
from builder.model.platform import EVERY
from builder.model.source import is_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from builder.formats.reading import Reading
    from builder.model.cluster import Cluster, Extra, ExtraFile, ExtraManifest, Node

T = TypeVar("T")
_INVENTORY = "inventory.yaml"
_ETCD_SENSIBLE = 7
"""More etcd members than this make every write slower and tolerate nothing new."""


def check(cluster: Cluster, reading: Reading) -> None:
    nodes = [(i, node) for i, node in enumerate(cluster.nodes) if node is not WRONG]
    _names(nodes, reading)
    _addresses(nodes, cluster, reading)
    _cards(nodes, reading)
    _roles(cluster, reading)
    check_endpoint(nodes, cluster, reading)
    for index, node in nodes:
        _labels(node, f"nodes[{index}]", reading)
        _taints(node, f"nodes[{index}]", cluster, reading)
    check_networks(cluster, nodes, reading)
    check_machines(cluster, nodes, reading)
    _choices(cluster, reading)
    if cluster.extra is not WRONG:
        _extra(cluster.extra, reading)


def check_files(cluster: Cluster, exists: Callable[[str], bool], reading: Reading) -> None:
    """Write down each local path of the document that leads to no file."""
    for path, source in _locals(cluster):
        if not exists(source):
            reading.wrong(
                path,
                f"there is no file {source!r}",
                hint="a path is relative to cluster.yaml, and leads to a file, not to a folder",
            )


def _locals(cluster: Cluster) -> Iterator[tuple[str, str]]:
    if cluster.os is not WRONG and cluster.os.base.file is not None:
        yield "os.base.packages", cluster.os.base.file
    yield from machine_files(cluster)
    for path, signer in _readable("signatures", cluster.signatures):
        yield from ((f"{path}.keys[{i}]", key) for i, key in enumerate(signer.keys))
    if cluster.extra is not WRONG:
        for path, added in _sources(cluster.extra):
            if not is_url(added.source):
                yield path, added.source


def _sources(extra: Extra) -> Iterator[tuple[str, ExtraFile | ExtraManifest]]:
    yield from _readable("extra.files", extra.files)
    yield from _readable("extra.manifests", extra.manifests)


def _readable(path: str, items: Iterable[T]) -> Iterator[tuple[str, T]]:
    """Return the entries of a list that are not gaps, each with its path."""
    for i, item in enumerate(items):
        if item is not WRONG:
            yield f"{path}[{i}]", item


def _twice(named: Iterable[tuple[str, object]], reading: Reading) -> None:
    """Write down each path whose value an earlier path has, too."""
    first: dict[object, str] = {}
    for path, value in named:
        if value in first:
            reading.wrong(path, f"{str(value)!r} is already used by {first[value]}")
        else:
            first[value] = path


def _names(nodes: list[tuple[int, Node]], reading: Reading) -> None:
    named = [(f"nodes[{i}].name", node.name) for i, node in nodes if node.name]
    _twice(named, reading)
    names = {name for _, name in named}
    for path, name in named:
        if name == _INVENTORY or (name.endswith(".iso") and name.removesuffix(".iso") in names):
            reading.wrong(
                path, f"{name} is the name of a file that seeds writes", hint="take another"
            )


def _addresses(nodes: list[tuple[int, Node]], cluster: Cluster, reading: Reading) -> None:
    named = []
    for i, node in nodes:
        path = f"nodes[{i}].address"
        if node.addresses == () and len(cluster.nodes) > 1:
            reading.wrong(path, "is missing", hint="only a single-node cluster may leave it out")
        many = len(node.addresses) > 1
        for k, address in enumerate(node.addresses):
            named.append((f"{path}[{k}]" if many else path, address.ip))
        versions = [address.ip.version for address in node.addresses]
        if len(versions) != len(set(versions)):
            reading.wrong(path, f"two IPv{versions[0]} addresses", expected="one of each family")
    _twice(named, reading)


def _cards(nodes: list[tuple[int, Node]], reading: Reading) -> None:
    _twice([(f"nodes[{i}].mac", node.mac) for i, node in nodes if node.mac], reading)


def _roles(cluster: Cluster, reading: Reading) -> None:
    roles = [node.role for node in cluster.nodes if node is not WRONG]
    if not cluster.nodes or len(roles) < len(cluster.nodes) or WRONG in roles:
        return  # a node whose role nobody knows may be what is missed here
    count = roles.count("control-plane")
    if count == 0:
        reading.wrong(
            "nodes", "no control plane", hint="give one node (or three) the role control-plane"
        )
    elif count % 2 == 0:
        few = (count - 1) // 2
        tolerated = f"{few} failure{'s' * (few > 1)}, as {count - 1} do" if few else "no failure"
        reading.remark(
            "nodes",
            f"{count} control planes tolerate {tolerated}",
            hint=f"take {count - 1} or {count + 1}",
        )
    elif count > _ETCD_SENSIBLE:
        reading.remark("nodes", f"{count} control planes make etcd slow", hint="3 or 5 are usual")
    if count > 1 and cluster.endpoint is None:
        reading.wrong(
            "endpoint",
            f"is missing: {count} control planes need an address that does not depend on one",
            expected="HOST[:PORT] of a load balancer or virtual address",
            hint="without one the control planes can carry a free address of their network: "
            "endpoint: {address: ..., by: keepalived}",
        )


def _labels(node: Node, path: str, reading: Reading) -> None:
    for key in node.labels:
        misfit = label_misfit(key)
        if misfit:
            reading.wrong(f"{path}.labels.{key}", misfit[0], hint=misfit[1])


def _taints(node: Node, path: str, cluster: Cluster, reading: Reading) -> None:
    taints = node.taints or ()
    named = [
        (f"{path}.taints[{i}]", f"{taint.key}:{taint.effect}") for i, taint in enumerate(taints)
    ]
    _twice(named, reading)
    if node.taints is None or WRONG in (node.role, cluster.roles, *cluster.nodes):
        return
    # kubeadm init runs on the first control plane
    kind = "InitConfiguration" if node in cluster.control_planes[:1] else "JoinConfiguration"
    places = ("kubeadm", f"roles.{node.role}.kubeadm", f"{path}.kubeadm")
    for place, overrides in zip(places, cluster.kubeadm_of(node), strict=True):
        registration = dict(dict(overrides).get(kind) or {}).get("nodeRegistration")
        if isinstance(registration, dict) and "taints" in registration:
            reading.wrong(
                f"{path}.taints",
                f"{place}.{kind}.nodeRegistration.taints has taints for this node, too",
                hint="say them in one of the two",
            )


def _choices(cluster: Cluster, reading: Reading) -> None:
    if cluster.cni is not WRONG and cluster.cni.name == "none":
        for key in ("version", "install"):
            if getattr(cluster.cni, key) is not None:
                reading.wrong(f"cni.{key}", "has no effect without a network plugin")
    _platforms(cluster, reading)


def _platforms(cluster: Cluster, reading: Reading) -> None:
    if cluster.image_platforms is not WRONG:
        wanted = cluster.image_platforms
        for platform, count in Counter(wanted).items():
            if count > 1:
                reading.wrong("imagePlatforms", f"{platform} appears {count} times")
        if EVERY in wanted and len(wanted) > 1:
            reading.wrong(
                "imagePlatforms", "all already means every platform", expected="all alone"
            )
    for platform, count in Counter(cluster.platforms).items():
        if count > 1:
            reading.wrong("platforms", f"{platform} appears {count} times")
        if platform.os != "linux":
            reading.wrong("platforms", f"{platform} is not Linux", hint="write linux/amd64")


def _extra(extra: Extra, reading: Reading) -> None:
    images = [*_readable("extra.images", extra.images)]
    _twice([(path, str(image)) for path, image in images], reading)
    for path, image in images:
        if image.tag == "latest" and image.digest is None:
            reading.remark(
                path,
                f"{image} may move: a later lock may get a different image",
                hint="give it a version's tag",
            )
    packages = [*_readable("extra.packages", extra.packages)]
    _twice(packages, reading)
    for where, name in packages:
        if name.endswith(".rpm"):
            reading.wrong(where, f"{name!r} is a file", hint="name the package, not its file")
    _collisions(extra, reading)
    manifests = _readable("extra.manifests", extra.manifests)
    _twice([(path, manifest.source) for path, manifest in manifests], reading)
    for path, added in _sources(extra):
        if added.source.startswith("http:") and added.digest is None:
            reading.remark(
                path,
                "plain http without a sha256: anyone in between can change it",
                hint="add sha256, or use https",
            )


def _collisions(extra: Extra, reading: Reading) -> None:
    """Check that no file of the bundle lies where another one is, or needs a folder."""
    files = [*_readable("extra.files", extra.files)]
    owners = {file.path: path for path, file in reversed(files)}
    _twice([(path, file.path) for path, file in files], reading)
    for path, file in files:
        for folder in map(str, PurePosixPath(file.path).parents):
            if folder in owners:
                reading.wrong(
                    path, f"{file.path!r} needs a folder where {owners[folder]} has a file"
                )

"""Files of the user's on machines: none may lie where somebody else writes, or another one does."""

from __future__ import annotations

import re
from dataclasses import replace
from operator import attrgetter
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from builder.formats.cluster.machine_rules import machines
from builder.formats.reading import WRONG
from builder.model.catalog.paths import REGISTRY, STATIC_PODS, is_static_pod
from builder.model.choice import NONE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from builder.formats.reading import Reading
    from builder.model.catalog.paths import OwnedPath
    from builder.model.cluster import Cluster, Node

_OWN = re.compile(r"nodes\[([0-9]+)\]\.")


def check(cluster: Cluster, paths: Iterable[OwnedPath], reading: Reading) -> None:
    """Write down each file that would take the place of what another writes, with the way out."""
    version = cluster.kubernetes
    minor = version.series if version is not WRONG else None
    known = [_named(path, cluster) for path in paths if path.is_known(minor)]
    for place, machine in machines(cluster):
        for number, file in enumerate(machine.files):
            if file is not WRONG:
                where = f"{place}.files[{number}].path"
                _check(file.path, where, place, known, cluster, reading)
                if file.path.startswith(f"{STATIC_PODS}/") and not is_static_pod(file.path):
                    what = "kubelet passes by hidden files and folders in its manifests"
                    reading.remark(where, what, hint=f"lay it right into {STATIC_PODS} to start it")
                if file.secret is not None:
                    _check_secret(f"{place}.files[{number}].secret", place, cluster, reading)
    _check_folders(cluster, reading)


def _check_secret(where: str, place: str, cluster: Cluster, reading: Reading) -> None:
    workers = [node.name for node in _reached(cluster, place) if node.role == "worker"]
    if workers:
        reading.wrong(
            where,
            f"{workers[0]} is a worker, and this is the API server's key to all secrets in etcd",
            hint="say the file in roles.control-plane.machine.files",
        )


def _check_folders(cluster: Cluster, reading: Reading) -> None:
    """Find files that need a folder where another one of the same node is."""
    said: dict[str, str] = {}
    every = dict(machines(cluster))
    for index, node in enumerate(cluster.nodes):
        if node is not WRONG:
            owners = {
                file.path: f"{place}.files[{number}]"
                for place in ("machine", f"roles.{node.role}.machine", f"nodes[{index}].machine")
                if place in every
                for number, file in enumerate(every[place].files)
                if file is not WRONG
            }
            for path, where in owners.items():
                for folder in map(str, PurePosixPath(path).parents):
                    if folder in owners:
                        what = f"{path!r} needs a folder where {owners[folder]} has a file"
                        said.setdefault(f"{where}.path", what)
    for where, what in said.items():
        reading.wrong(where, what)


def _check(
    path: str,
    where: str,
    place: str,
    known: list[OwnedPath],
    cluster: Cluster,
    reading: Reading,
) -> None:
    for owned in known:
        if owned.when is not None and not _says(cluster, place, owned.when):
            continue
        if owned.owns(path):
            reading.wrong(where, f"{path!r} is {owned.owner}'s: {owned.why}", hint=owned.instead)
            return
        if owned.needs_folder(path):
            inside = owned.pattern.removesuffix("/**")
            reading.wrong(where, f"{path!r} is a folder: {inside} in it is {owned.owner}'s")
            return


def _named(path: OwnedPath, cluster: Cluster) -> OwnedPath:
    if REGISTRY not in path.pattern or not cluster.registry:
        return path
    return replace(path, pattern=path.pattern.replace(REGISTRY, cluster.registry.host))


def _says(cluster: Cluster, place: str, key: str) -> bool:
    """Tell whether a node that gets what ``place`` says has a value for a key of machines.

    Or whether the nodes keep the endpoint up so, or get that network plugin.
    """
    whose, _, by = key.partition(".")
    if whose == "endpoint":
        return bool(cluster.endpoint) and cluster.endpoint is not None and cluster.endpoint.by == by
    if whose == "cni":
        return cluster.cni is not WRONG and cluster.cni.name != NONE
    if WRONG in (cluster.machine, cluster.roles):
        return False
    value = attrgetter(key)
    return any(value(cluster.machine_of(node)) for node in _reached(cluster, place))


def _reached(cluster: Cluster, place: str) -> Iterator[Node]:
    own = _OWN.match(place)
    for node in (cluster.nodes[int(own[1])],) if own else cluster.nodes:
        if node is WRONG or WRONG in (node.machine, node.role):
            continue
        if own or place in {"machine", f"roles.{node.role}.machine"}:
            yield node

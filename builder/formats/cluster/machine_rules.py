"""What must hold for machines, over a document with gaps, as in the rules for a cluster."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from builder.formats.cluster.card_rules import check_bonds, check_cards
from builder.formats.reading import WRONG, child
from builder.model.catalog.paths import real

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from builder.formats.reading import Reading
    from builder.model.cluster import Cluster, Node
    from builder.model.machine import Machine

PKI_FILES = ("ca.crt", "ca.key")
"""What a folder of the user's own authority must have."""


def check_machines(cluster: Cluster, nodes: list[tuple[int, Node]], reading: Reading) -> None:
    for path, machine in machines(cluster):
        _lists(path, machine, reading)
        for key, local in _entries(machine):
            if cluster.registry is None and local:
                _lonely(f"{path}.registry", key, reading)
    check_bonds(machines(cluster), reading)
    check_cards(cluster, nodes, reading)


def _lonely(path: str, key: str, reading: Reading) -> None:
    """An authority may serve other purposes; credentials are for nobody."""
    if key == "credentials":
        what = "there are credentials, but no registry"
        reading.wrong(f"{path}.{key}", what, hint="add registry: to cluster.yaml")
    else:
        reading.remark(
            path, "has no effect without an internal registry", hint="name one under registry"
        )


def machine_files(cluster: Cluster) -> Iterator[tuple[str, str]]:
    """Return each local path that is said about machines, after its path in the document."""
    for path, machine in machines(cluster):
        for i, file in enumerate(machine.files):
            if file is not WRONG and file.source:
                yield f"{path}.files[{i}].source", file.source
        for key, local in _entries(machine):
            if local:
                yield f"{path}.registry.{key}", local
    if cluster.pki is not WRONG and cluster.pki.folder:
        for name in PKI_FILES:
            yield "pki.files", f"{cluster.pki.folder}/{name}"


def machines(cluster: Cluster) -> Iterator[tuple[str, Machine]]:
    machines = [("machine", cluster.machine)]
    if cluster.roles is not WRONG:
        machines += [(f"roles.{role}.machine", own.machine) for role, own in cluster.roles.items()]
    for i, node in enumerate(cluster.nodes):
        if node is not WRONG:
            machines.append((f"nodes[{i}].machine", node.machine))
    yield from (entry for entry in machines if entry[1] is not WRONG)


def whole_machines(cluster: Cluster, role: str | None = None) -> Iterator[tuple[str, Machine]]:
    """Yield what is said of each node's machine, by its name, as long as nothing has gaps."""
    gaps = (cluster.machine, cluster.roles, *cluster.nodes)
    if WRONG in gaps or any(one.machine is WRONG for one in cluster.roles.values()):
        return
    for node in cluster.nodes:
        if WRONG in (node.machine, node.role):
            return
        machine = cluster.machine_of(node)
        if role in {None, node.role} and not any(file is WRONG for file in machine.files):
            yield str(node.name), machine


def remark_unlaid(
    path: str, where: str, cluster: Cluster, reading: Reading, *, role: str | None = None
) -> None:
    """Remark where nothing lays a file, or a folder with files: the image has to have it."""
    wanted = real(path)
    for name, machine in whole_machines(cluster, role):
        laid = [PurePosixPath(real(file.path)) for file in machine.files]
        there = {str(place) for one in laid for place in (one, *one.parents)}
        if wanted not in there and not machine.before:
            reading.remark(
                where,
                f"nothing here lays {wanted[:80]} on {name}: the machine's image must have it",
                hint=f"lay it with {f'roles.{role}.' if role else ''}machine.files",
            )
            return


def _entries(machine: Machine) -> tuple[tuple[str, str | None], ...]:
    if machine.registry is WRONG:
        return ()
    return ("ca", machine.registry.ca), ("credentials", machine.registry.credentials)


def _lists(path: str, machine: Machine, reading: Reading) -> None:
    named: list[tuple[str, Iterable[str]]] = [
        ("files", (file.path for file in machine.files if file is not WRONG)),
        ("users", (user.name for user in machine.users if user is not WRONG)),
        ("packages", machine.packages),
    ]
    for key, names in named:
        seen: dict[str, int] = {}
        for i, name in enumerate(names):
            if name in seen:
                reading.wrong(
                    f"{path}.{key}[{i}]", f"{name!r} is already used by {path}.{key}[{seen[name]}]"
                )
            seen.setdefault(name, i)
    for i, name in enumerate(machine.packages):
        if name.endswith(".rpm"):
            reading.wrong(
                f"{path}.packages[{i}]",
                f"{name!r} is a file",
                hint="name the package, not its file",
            )
    for text in machine.hosts:
        try:
            ip_address(text)
        except ValueError:
            reading.wrong(child(f"{path}.hosts", text), f"{text!r} is not an IP address")

"""What the catalog has to say about a cluster, on the same report as everything else.

:func:`builder.model.choice.choose` does the choosing and finds what does not go together; it wants
a whole cluster. Here its faults get their lines, and a cluster with gaps is asked about
what it does name.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from builder.errors import did_you_mean
from builder.formats.cluster import documents, owned_paths, runtime_rules
from builder.formats.cluster.card_rules import check_cloud_init
from builder.formats.reading import WRONG, Reading
from builder.model.catalog.lookup import NotInCatalogError
from builder.model.choice import CALICO, NONE, choose
from builder.model.cluster import ChangeSettings, Cni, Runtime, SeedSettings, System
from builder.model.hops import Hop, hops

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from builder.errors import Fault
    from builder.model.catalog import Catalog
    from builder.model.cluster import Cluster, Subnet

_OPEN: dict[str, Any] = {
    "os": System(),
    "runtime": Runtime(),
    "cni": Cni(),
    "platforms": (),
    "seed": SeedSettings(),
    "changes": ChangeSettings(),
}
"""What stands for a gap: the default, whose faults are then passed over."""


def check(cluster: Cluster, catalog: Catalog, reading: Reading) -> tuple[Hop, ...] | None:
    """Choose the releases; write down what is unknown or unsupported, and give None then.

    There is one hop for each release that the cluster is led through, the last one its own.
    """
    gaps = {key for key in _OPEN if getattr(cluster, key) is WRONG}
    owned_paths.check(cluster, catalog.paths, reading)
    if cluster.kubernetes is WRONG:
        _named(cluster, catalog, reading)
        return None
    _documents(cluster, catalog, reading)
    _signers(cluster, catalog, reading)
    whole = replace(cluster, **{key: _OPEN[key] for key in gaps})
    choice, faults, remarks = choose(whole, catalog)
    for note, each in ((reading.wrong, faults), (reading.remark, remarks)):
        for fault in each:
            if fault.where.partition(".")[0] not in gaps:
                hint = fault.hint or _plugin_hint(fault, cluster)
                note(fault.where, fault.what, expected=fault.expected, hint=hint)
    if choice is not None and "os" not in gaps:
        nodes = [(i, node) for i, node in enumerate(cluster.nodes) if node is not WRONG]
        check_cloud_init(cluster, nodes, choice.cloud_init, reading)
    if choice is not None:
        runtime_rules.check(cluster, choice.runtime.name, reading)
        docker = choice.runtime.name == "docker"
        _bridge(cluster, catalog.programs.docker_bridge if docker else None, reading)
    if choice is None or gaps:
        return None
    way, faults, remarks = hops(cluster, choice, catalog)
    for note, each in ((reading.wrong, faults), (reading.remark, remarks)):
        for fault in each:
            note(fault.where, fault.what, expected=fault.expected, hint=fault.hint)
    _documents_on_the_way(way[1:-1], reading)
    return way or (Hop(cluster=cluster, choice=choice),)


def _signers(cluster: Cluster, catalog: Catalog, reading: Reading) -> None:
    known = catalog.authorities
    for number, signer in enumerate(cluster.signatures):
        if signer is WRONG:
            continue
        path = f"signatures[{number}]"
        if not signer.keys and not signer.identities:
            reading.wrong(path, "it names neither keys nor identities", expected="one of them")
        if signer.identities and signer.authority not in known:
            reading.wrong(
                f"{path}.authority",
                f"there is no authority {signer.authority!r} in the catalog",
                expected=" or ".join(sorted(known)) or "authorities/NAME.yaml in a catalog",
                hint=did_you_mean(signer.authority, known),
            )


def _documents(cluster: Cluster, catalog: Catalog, reading: Reading) -> None:
    """Check the raw kubeadm documents wherever it is known which fields there are."""
    try:
        documents.check(cluster, catalog.kubernetes(cluster.kubernetes), reading)
    except NotInCatalogError:
        return  # said by the choice already


def _documents_on_the_way(between: Iterable[Hop], reading: Reading) -> None:
    """Check the raw kubeadm documents at releases that the cluster only goes through."""
    told = {fault.where for fault in reading.faults}
    for hop in between:
        there = Reading(reading.document, reading.lines)
        documents.check(hop.cluster, hop.choice.kubernetes, there)
        for fault in there.faults:
            if fault.where not in told:
                told.add(fault.where)
                what = f"{fault.what} (on the way, at {hop.release})"
                hint = f"{fault.hint or 'leave it out'}; or say it once {hop.release} is behind"
                reading.faults.append(replace(fault, what=what, hint=hint))


def _named(cluster: Cluster, catalog: Catalog, reading: Reading) -> None:
    """Ask about what is named, as long as nobody knows for which Kubernetes."""
    system, runtime, cni = cluster.os, cluster.runtime, cluster.cni
    asked: list[tuple[str, Callable[[str, str | None], object], str | None, str | None]] = []
    if system is not WRONG:
        asked.append(("os", catalog.os, system.name, system.version))
    if runtime is not WRONG:
        asked.append(("runtime", catalog.runtime, runtime.name, runtime.version))
    if cni is not WRONG and cni.name == CALICO and cni.version is not None:
        asked.append(("cni", lambda version, _: catalog.calico(version), cni.version, None))
    for path, question, name, version in asked:
        try:
            if name is not None:
                question(name, version)
        except NotInCatalogError as error:
            named = f"{path}.name" in reading.lines and error.name
            place = f"{path}.name" if named else path
            reading.wrong(place, error.what, expected=error.expected, hint=error.hint)


def _plugin_hint(fault: Fault, cluster: Cluster) -> str | None:
    """Tell the user of another network plugin how to bring it."""
    if fault.where != "cni" or cluster.cni.name in {None, CALICO, NONE}:
        return None
    near = did_you_mean(cluster.cni.name, (CALICO, NONE))
    return near or "any other can come by extra.manifests with cni: none"


def _bridge(cluster: Cluster, bridge: Subnet | None, reading: Reading) -> None:
    """Remark what docker's own bridge would hide from a node."""
    subnets = []
    if cluster.network is not WRONG:
        subnets += [("network.pods", pods) for pods in cluster.network.pods]
        subnets += [("network.services", services) for services in cluster.network.services]
    for i, node in enumerate(cluster.nodes):
        if node is not WRONG:
            subnets += [(f"nodes[{i}].address", ip_network(a.ip)) for a in node.addresses]
    for path, subnet in subnets:
        if bridge and subnet.version == bridge.version and subnet.overlaps(bridge):
            reading.remark(
                path,
                f"{str(subnet).removesuffix('/32')} overlaps {bridge}, which docker takes for its "
                "own bridge",
                hint="take another range, or give docker another with bip",
            )

"""The way from the Kubernetes that runs to the one that is wanted, release by release.

kubeadm goes from one minor to the next and skips none, so each hop is a cluster of its own: the
same nodes, another release, and what the catalog has for that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from builder.errors import Fault
from builder.model.catalog.lookup import NotInCatalogError
from builder.model.choice import choose
from builder.model.cluster import Cni

if TYPE_CHECKING:
    from builder.model.catalog import Catalog
    from builder.model.choice import Choice
    from builder.model.cluster import Cluster
    from builder.model.version import Version

_PATH = "changes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    cluster: Cluster
    """As it is once this release runs."""
    choice: Choice

    @property
    def release(self) -> str:
        return str(self.cluster.kubernetes)


def releases(cluster: Cluster, catalog: Catalog) -> tuple[tuple[Version, ...], list[Fault]]:
    """Return every release of the way, from what runs to what is wanted, and what forbids it."""
    start, last, named = cluster.changes.start, cluster.kubernetes, cluster.changes.through
    if start is None or start == last:
        return (), []
    if start > last:
        what = f"Kubernetes {start} is newer than {last}: kubeadm does not go back"
        hint = "set kubernetes to that release or a newer one, or leave out changes.from"
        return (), [Fault(where=f"{_PATH}.from", what=what, hint=hint)]
    faults = [
        Fault(
            where=f"{_PATH}.through[{number}]",
            what=f"{version} is not on the way from {start} to {last}",
            expected="one release of a minor in between, or a patch on the way, in order",
        )
        for number, version in enumerate(named)
        if not (named[number - 1] if number else start) < version < last
    ]
    way = [start]
    for version in (*named, last):
        for minor in range(way[-1].minor + 1, version.minor):
            try:
                way.append(catalog.newest_kubernetes(f"{start.major}.{minor}"))
            except NotInCatalogError as error:
                what = f"on the way from {start} to {last}: {error.what}"
                faults.append(
                    Fault(where=_PATH, what=what, expected=error.expected, hint=error.hint)
                )
        way.append(version)
    return tuple(way), faults


def hops(
    cluster: Cluster, last: Choice, catalog: Catalog
) -> tuple[tuple[Hop, ...], list[Fault], list[Fault]]:
    """Choose what each release of the way is made of; return faults and remarks, too.

    The network plugin is the last release's: it is changed once, and what runs before is there.
    """
    way, faults = releases(cluster, catalog)
    remarks: list[Fault] = []
    found: list[Hop] = []
    for version in way[:-1]:
        at = replace(cluster, kubernetes=version)
        choice, wrong, odd = choose(replace(at, cni=Cni(name="none")), catalog)
        faults += (_on_the_way(fault, version, cluster) for fault in wrong)
        remarks += (_on_the_way(fault, version, cluster) for fault in odd)
        if choice is not None:
            choice = replace(choice, calico=last.calico, install=last.install)
            found.append(Hop(cluster=at, choice=choice))
    if way:
        found.append(Hop(cluster=cluster, choice=last))
    return tuple(found), faults, remarks


def _on_the_way(fault: Fault, version: Version, cluster: Cluster) -> Fault:
    """Say of which release a fault is; of what cluster.yaml leaves open nothing could be said."""
    start, named = cluster.changes.start, cluster.changes.through
    where = fault.where
    if where == "kubernetes":
        where = f"{_PATH}.through[{named.index(version)}]" if version in named else _PATH
        where = f"{_PATH}.from" if version == start else where
    what = fault.what if str(version) in fault.what else f"{fault.what} (for {version})"
    return replace(fault, where=where, what=f"on the way from {start}: {what}")

"""Which of the lock's packages one machine installs: its own, and not what others asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.model.demand import ENDPOINT, EXTRA, KUBEADM, RUNTIME, SYSTEM

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.model.artifact import Package
    from builder.model.cluster import Role
    from builder.model.machine import Machine
    from builder.model.rpm import Nevra
    from builder.render.plan import Plan

Row = tuple[str, frozenset[str] | None]


def of(plan: Plan, machine: Machine, role: Role | None = None) -> Iterator[str]:
    """Yield the requests of one machine as yum takes them, in the lock's order.

    Without a role it may play any, as a machine that is made from an image.
    """
    keeper = plan.choice.keeper
    wanted = {*machine.packages}
    if keeper is not None and role in {None, *keeper.roles}:
        wanted |= {*keeper.packages}
    for request, askers in plan.once("packages", lambda: tuple(_rows(plan))):
        if askers is None or not wanted.isdisjoint(askers):
            yield request


def held(plan: Plan, machine: Machine) -> Iterator[str]:
    """Yield the names of those that an update must not move: Kubernetes' and the runtime's."""
    wanted = {*of(plan, machine)}
    for package in plan.lock.packages:
        if str(package.nevra) in wanted and {*package.needed_by} & {KUBEADM, RUNTIME}:
            yield package.nevra.name


def _rows(plan: Plan) -> Iterator[Row]:
    """Pair each requested package with the words that only some machines ask for it by."""
    cluster = plan.cluster
    words = {word for node in cluster.nodes for word in cluster.machine_of(node).packages}
    words |= {*(plan.choice.keeper.packages if plan.choice.keeper else ())}
    for package in plan.lock.packages:
        if package.requested:
            # with the architecture: yum 3 knows NAME-EPOCH:VERSION-RELEASE.ARCH, but not without it
            yield str(package.nevra), _askers(package, words, cluster.extra.packages)


def _askers(package: Package, words: set[str], everybody: tuple[str, ...]) -> frozenset[str] | None:
    reasons = {*package.needed_by}
    if not reasons & {ENDPOINT, EXTRA} or reasons & {KUBEADM, RUNTIME, SYSTEM}:
        return None
    if any(answers(package.nevra, word) for word in everybody):
        return None
    # what is asked for by something that it provides, and not by name, goes to all: none lacks it
    return frozenset(word for word in words if answers(package.nevra, word)) or None


def answers(name: Nevra, word: str) -> bool:
    """Tell whether yum means a package by ``NAME[-[EPOCH:]VERSION[-RELEASE]][.ARCH]``."""
    word = word.removesuffix(f".{name.arch}")
    version = f"{name.name}-{name.version}"
    epoch = f"{name.name}-{name.epoch}:{name.version}"
    return word in {
        name.name,
        version,
        epoch,
        f"{version}-{name.release}",
        f"{epoch}-{name.release}",
        f"{name.epoch}:{version}-{name.release}",
    }

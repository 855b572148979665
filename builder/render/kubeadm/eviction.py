"""How much of its disk a node has to leave free, or kubelet evicts pods and takes images away."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from builder.render.kubeadm import arguments
from builder.render.kubeadm.overlay import overlaid

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from builder.model.cluster import Node, Overrides
    from builder.render.plan import Plan

_ARGUMENTS = ("nodeRegistration", "kubeletExtraArgs")
_DISKS = ("nodefs.available", "imagefs.available")
_HARD, _SOFT = ("evictionHard", "eviction-hard"), ("evictionSoft", "eviction-soft")
"""The field of KubeletConfiguration, and the flag that replaces it."""
_AMOUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?)(%|m|[KMGTPE]i|[kMGTPE]|)")
_MIB = 1 << 20
_PERCENT = "%"


def limits(plan: Plan) -> dict[str, str]:
    """Return what airseed sets: nothing where what was taken away can be pulled again."""
    return {} if plan.cluster.registry else dict(plan.choice.eviction["bundled"])


def kept_free(plan: Plan, node: Node) -> tuple[str, ...]:
    """Return how much of its disk kubelet wants free: MiB, or a part of the disk (``10%``).

    All nodes have the first one's KubeletConfiguration; a node's own flags go before it.
    """
    shared = plan.once("eviction", lambda: _configured(plan, plan.cluster.kubeadm_of(plan.first)))
    own = _flags(plan, node)
    amounts = {
        amount
        for field, flag in (_HARD, _SOFT)
        for signal, amount in own.get(flag, shared[field]).items()
        if signal in _DISKS
    }
    return tuple(sorted(filter(None, map(_written, amounts))))


def _configured(plan: Plan, overrides: Iterable[Overrides]) -> Mapping[str, Mapping[str, str]]:
    configuration = plan.choice.kubernetes.configuration
    document: dict[str, Any] = {"kind": "KubeletConfiguration"}
    if ours := limits(plan):
        document["evictionHard"] = ours
    document = overlaid(document, overrides, configuration)
    hard = document.get("evictionHard")
    return {
        "evictionHard": plan.choice.eviction["kubelet"] if hard is None else hard,
        "evictionSoft": document.get("evictionSoft") or {},
    }


def _flags(plan: Plan, node: Node) -> Mapping[str, Mapping[str, str]]:
    kind = "InitConfiguration" if plan.part(node) == "init" else "JoinConfiguration"
    document = overlaid(
        {"kind": kind}, plan.cluster.kubeadm_of(node), plan.choice.kubernetes.configuration
    )
    flags = {flag: arguments.get(document, _ARGUMENTS, flag) for _, flag in (_HARD, _SOFT)}
    return {flag: _pairs(text) for flag, text in flags.items() if text is not None}


def _pairs(text: str) -> Mapping[str, str]:
    return {
        signal.strip(): amount.strip()
        for signal, less, amount in (pair.partition("<") for pair in text.split(","))
        if less
    }


def _written(amount: object) -> str | None:
    """Write an amount for the node; what can't be one is kubelet's to refuse."""
    match = _AMOUNT.fullmatch(str(amount))
    if match is None:
        return None
    number, unit = Fraction(match[1]), match[2]
    if unit == _PERCENT:
        return f"{-(-number // 1)}%"
    powers = {prefix: power for power, prefix in enumerate("KMGTPE", 1)}
    if unit.endswith("i"):
        number *= 1024 ** powers[unit[0]]
    elif unit == "m":
        number /= 1000
    elif unit:
        number *= 1000 ** powers[unit.upper()]
    return str(-(-number // _MIB))

"""kubeadm's documents of one node, for the API version that its release reads.

What is generated here is as little as is needed; the raw documents of cluster.yaml are laid over
it (:mod:`builder.render.kubeadm.overlay`). Their fields were checked when cluster.yaml was read.

kubeadm reads YAML 1.1 with a Go library that knows more words for true and false (``y``, ``n``)
than PyYAML does. So plain text is written only where it begins with a letter and nobody could
take it for anything else; the rest stands in double quotes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

from builder.render.kubeadm.join import join
from builder.render.kubeadm.running import running
from builder.render.kubeadm.start import start

if TYPE_CHECKING:
    from collections.abc import Iterable

    from builder.model.cluster import Node
    from builder.render.plan import Plan

__all__ = ["documents", "running_text", "text"]
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9/._-]+")
_WIDEST = 1 << 20
"""Text is never folded; a reader of the file wants to find it in one line."""
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Dumper(_DUMPER):  # type: ignore[misc] # whichever of the two there is
    """Quote whatever is not plainly text, and write no aliases."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 -- PyYAML's signature
        return True


def _text(dumper: Any, data: str) -> Any:
    style = None if _PLAIN.fullmatch(data) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Dumper.add_representer(str, _text)


def documents(plan: Plan, node: Node) -> tuple[dict[str, Any], ...]:
    """Return the documents that ``kubeadm init`` or ``kubeadm join`` reads on a node.

    The first node has those of the whole cluster, any other one JoinConfiguration. They hold
    secrets.
    """
    part = plan.part(node)
    return start(plan, node) if part == "init" else (join(plan, node, part),)


def text(plan: Plan, node: Node, *, whole: bool = False) -> str:
    """Return the documents of a node as one YAML file; it is as secret as they are.

    With ``whole`` each control plane has those of the cluster, too: it may change them.
    """
    whole = whole and node.role == "control-plane"
    return _dumped(start(plan, node) if whole else documents(plan, node))


def running_text(plan: Plan, node: Node, *, admits: bool = False, host: str = "") -> str:
    """Return what a node that runs is to be like; see :func:`running`."""
    return _dumped(running(plan, node, admits=admits, host=host))


def _dumped(shown: Iterable[dict[str, Any]]) -> str:
    written: str = yaml.dump_all(
        shown, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDEST
    )
    return written

"""Where kubeadm finds its images: in the names that the lock has, or in the internal registry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from builder.model.reference import Reference
    from builder.render.plan import Plan

_ETCD = "etcd"
_DNS = "coredns"


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """Hold what kubeadm's documents say about images."""

    repository: str
    """Of everything that has no repository of its own below."""
    etcd: dict[str, str]
    """``imageRepository`` and ``imageTag``."""
    dns: dict[str, str]
    """The same; empty where kubeadm's own choice is right."""


def images(plan: Plan) -> Images:
    """Give the repositories and tags of a cluster's images, as its nodes are to ask for them.

    kubeadm appends the last part of a name to its ``imageRepository``, and to that of DNS
    ``coredns`` alone, however the path looks in the official registry.
    """
    found = {
        component.name: _split(reference, plan)
        for component, reference in plan.choice.kubernetes.images
    }
    main = next(repository for name, (repository, _) in found.items() if name not in {_ETCD, _DNS})
    dns = _meta(*found[_DNS]) if plan.cluster.registry else {}
    return Images(repository=main, etcd=_meta(*found[_ETCD]), dns=dns)


def _split(reference: Reference, plan: Plan) -> tuple[str, str]:
    """Give the folder of an image's name and its tag."""
    registry = plan.cluster.registry
    name = reference.mapped(str(registry)) if registry else str(reference)
    repository, _, tag = name.rpartition(":")
    return repository.rpartition("/")[0], tag


def _meta(repository: str, tag: str) -> dict[str, str]:
    return {"imageRepository": repository, "imageTag": tag}

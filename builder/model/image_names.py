"""The names that nodes have images by: upstream's own, or those in an internal registry.

This is the one mapping of names, for whoever fills a registry and whoever asks it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from builder.errors import DocumentError, Fault

if TYPE_CHECKING:
    from collections.abc import Iterable

    from builder.model.artifact import Image
    from builder.model.catalog.kubernetes import Component
    from builder.model.digest import Digest
    from builder.model.reference import Reference
    from builder.model.registry import Registry

_ETCD = "etcd"
_DNS = "coredns"
_APISERVER = "kube-apiserver"


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeadmImages:
    repository: str
    """Of everything that has no repository of its own below."""
    etcd: dict[str, str]
    """``imageRepository`` and ``imageTag``."""
    dns: dict[str, str]
    """The same; empty where kubeadm's own choice is right."""


class ImageNames:
    """Map references to REGISTRY[/PREFIX]/PATH:TAG, without the source's host; or to themselves.

    No name has a digest: the lock proves what it is, and only what was pulled has a digest.
    """

    def __init__(self, registry: Registry | str | None) -> None:
        self._registry = str(registry or "").rstrip("/")

    def name(self, reference: Reference) -> str:
        tagged = reference.tagged
        return str(replace(tagged, host=self._registry) if self._registry else tagged)

    def repository(self, reference: Reference) -> str:
        """Return an image's name without tag and digest."""
        return self.name(replace(reference, tag=None, digest=None))

    def table(self, references: Iterable[Reference]) -> dict[Reference, str]:
        return {reference: self.name(reference) for reference in references}

    def also(self, references: Iterable[Reference]) -> dict[Reference, tuple[Reference, ...]]:
        """Return what else kubeadm may ask a registry for: ``coredns`` has two spellings.

        Some versions append ``coredns`` to an ``imageRepository``, others ``coredns/coredns``.
        """
        known = {reference.tagged for reference in references}
        folders = {
            (reference.host, reference.path.removesuffix(_APISERVER))
            for reference in known
            if f"/{reference.path}".endswith(f"/{_APISERVER}")
        }
        found = {}
        for reference in known if self._registry else ():
            folder = reference.path.removesuffix(_DNS).removesuffix(f"{_DNS}/")
            spellings = (f"{folder}{_DNS}", f"{folder}{_DNS}/{_DNS}")
            if (reference.host, folder) in folders and reference.path in spellings:
                others = (replace(reference, path=path) for path in spellings)
                found[reference] = tuple(other for other in others if other not in known)
        return found

    def kubeadm_folder(self, references: Iterable[Reference]) -> str | None:
        """Return the ``imageRepository`` by which kubeadm finds its images; None without any."""
        for reference in references:
            folder, _, last = self.repository(reference).rpartition("/")
            if last == _APISERVER:
                return folder
        return None

    def images_map(self, images: Iterable[Image]) -> str:
        """Return the text of ``images.map``: ``SOURCE TARGET`` a line where the two differ.

        A source is the name in the bundle's archive.
        """
        names = {str(image.reference.tagged): self.name(image.reference) for image in images}
        return "".join(f"{here} {there}\n" for here, there in names.items() if here != there)

    def refuse_clashes(self, images: Iterable[Image]) -> None:
        """Raise DocumentError for different images that nodes would have by one name."""
        names: dict[str, dict[Digest, str]] = {}
        for image in images:
            names.setdefault(self.name(image.reference), {})[image.digest] = image.name
        faults = [
            Fault(
                where="registry" if self._registry else "images",
                what=f"{' and '.join(sources.values())} would both be {there}",
                hint="a node can have only one image of a name",
            )
            for there, sources in names.items()
            if len(sources) > 1
        ]
        if faults:
            raise DocumentError("cluster.yaml", faults)

    def sandbox(self, images: Iterable[tuple[Component, Reference]]) -> str:
        """Return the name of the image under every pod, "" where the runtime chooses it."""
        return "".join(self.name(ref) for component, ref in images if component.sandbox)

    def kubeadm(self, images: Iterable[tuple[Component, Reference]]) -> KubeadmImages:
        """Return the repositories and tags that make kubeadm ask for these names.

        kubeadm appends the last part of a name to its ``imageRepository``, and to that of DNS
        ``coredns`` alone, however the path looks in the official registry.
        """
        split = {component.name: self._split(reference) for component, reference in images}
        main = next(folder for name, (folder, _) in split.items() if name not in {_ETCD, _DNS})
        dns = _fields(*split[_DNS]) if self._registry else {}
        return KubeadmImages(repository=main, etcd=_fields(*split[_ETCD]), dns=dns)

    def _split(self, reference: Reference) -> tuple[str, str]:
        repository, _, tag = self.name(reference).rpartition(":")
        return repository.rpartition("/")[0], tag


def _fields(repository: str, tag: str) -> dict[str, str]:
    return {"imageRepository": repository, "imageTag": tag}

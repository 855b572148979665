"""Manifests among the files that machines get: static pods, and whatever else starts images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.errors import DocumentError, Fault
from builder.formats import manifests
from builder.formats.cluster.documents import check_files
from builder.formats.cluster.node_files import is_looked_at
from builder.formats.reading import Reading
from builder.formats.text import decode, read_content
from builder.model.catalog.kubernetes import ROLES
from builder.model.catalog.paths import is_static_pod
from builder.model.demand import MACHINE, WantedImage, merged

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from builder.formats.manifests import Manifest
    from builder.model.catalog.kubernetes import KubernetesRelease
    from builder.model.cluster import Cluster
    from builder.model.machine import MachineFile

LARGEST_FILE = 4 << 20
"""Bytes of one file that goes onto a machine by its seed."""
_SUFFIXES = (".yaml", ".yml", ".json")
_ONE_POD = "kubelet takes one pod from each file there; what the cluster gets is extra.manifests"


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineManifest:
    file: MachineFile
    content: bytes
    manifest: Manifest
    roles: tuple[str, ...]
    """Of the nodes that get the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OfMachines:
    manifests: tuple[MachineManifest, ...]
    remarks: tuple[Fault, ...]
    """What static pods say that is allowed but deserves a warning."""


def read(cluster: Cluster, folder: Path, releases: Iterable[KubernetesRelease]) -> OfMachines:
    """Read the manifests among the files of machines; ``folder`` is that of cluster.yaml.

    Raise DocumentError with the mistakes of all static pods, and of kubelet's arguments.
    """
    faults: list[Fault] = []
    found: list[MachineManifest] = []
    texts: dict[MachineFile, str] = {}
    remarks: dict[Fault, None] = {}
    for file, roles in _files(cluster).items():
        content = (file.content or "").encode()
        try:
            if file.source is not None:
                content = read_content(folder / file.source, largest=LARGEST_FILE)
            texts[file] = content.decode("utf-8", "replace")
            manifest = _manifest(file, content)
        except DocumentError as error:
            where = f"machine.files: {file.source or file.path}"
            faults += [fault.inside(where) for fault in error.faults]
        else:
            if manifest is not None:
                found.append(
                    MachineManifest(file=file, content=content, manifest=manifest, roles=roles)
                )
    for release in releases:
        reading = Reading("cluster.yaml")
        check_files(cluster, release, reading, texts.get)
        told = {fault.where for fault in faults}
        faults += (fault for fault in reading.faults if fault.where not in told)
        remarks.update(dict.fromkeys(reading.remarks))
    if faults:
        raise DocumentError("cluster.yaml", faults)
    return OfMachines(manifests=tuple(found), remarks=tuple(remarks))


def started(manifests: Iterable[MachineManifest]) -> tuple[WantedImage, ...]:
    """Return the images that files of machines start, for the roles that get them."""
    return merged(
        WantedImage(reference=image.reference, roles=one.roles, needed_by=(MACHINE,))
        for one in manifests
        for image in one.manifest.images
    )


def _files(cluster: Cluster) -> dict[MachineFile, tuple[str, ...]]:
    """Return every file that may be a manifest, with the roles of the nodes that get it."""
    files: dict[MachineFile, set[str]] = {}
    for node in cluster.nodes:
        for file in cluster.machine_of(node).files:
            if is_looked_at(file.path) or file.path.endswith(_SUFFIXES):
                files.setdefault(file, set()).add(node.role)
    return {file: tuple(role for role in ROLES if role in roles) for file, roles in files.items()}


def _manifest(file: MachineFile, content: bytes) -> Manifest | None:
    """Read a file; None where it need not be a manifest, and is none."""
    name = file.source or file.path
    started = is_static_pod(file.path)
    try:
        manifest = manifests.read(decode(content, name), name, applied=started)
    except DocumentError:
        if started:
            raise
        return None
    if started:
        if why := _passed_by(manifest):
            raise DocumentError(name, [Fault(where="", what=why, hint=_ONE_POD)])
        return manifest
    whole = all(resource.kind and resource.api_version for resource in manifest.resources)
    return manifest if whole else None


def _passed_by(manifest: Manifest) -> str:
    """Say why kubelet would start nothing, or not all, of a file among its static pods."""
    if not manifest.resources:
        return "there is no pod in it"
    first, *more = manifest.resources
    if manifest.is_list:
        return "a list is not a pod"
    if (first.api_version, first.kind) != ("v1", "Pod"):
        return f"{first.kind or 'a document without a kind'} is not a Pod of v1"
    if not first.name:
        return "the pod has no name"
    return f"there are {1 + len(more)} documents in it, and the first alone is read" if more else ""

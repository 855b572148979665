"""Kubernetes manifests: the images that they start and the resources that they make.

A pod spec is any mapping with ``containers`` (or ``initContainers``, ``ephemeralContainers``) that
is a list of mappings, wherever it lies: in a workload of any kind, in a List, in a template inside
a custom resource. The schema of a CustomResourceDefinition starts nothing and is not looked into.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from builder.errors import DocumentError, Fault
from builder.formats.reading import child, kind
from builder.formats.text import yaml_documents
from builder.model.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.formats.events import Scalar

_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")
SCHEMAS = "CustomResourceDefinition"
_SECRET, _VALUES = "Secret", ("data", "stringData")
_LONGEST_NAME = 80
_PLACEHOLDER = frozenset("{}$<>%")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Resource:
    """Name one resource of a manifest; what is missing is empty."""

    api_version: str
    kind: str
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        name = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind or 'document'} {name}".rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedImage:
    """Hold one image that a manifest starts, and where it is named."""

    text: Scalar
    """As the manifest has it."""
    reference: Reference
    resource: Resource
    path: str
    """Inside the resource, such as ``spec.template.spec.containers[0].image``."""

    @property
    def where(self) -> str:
        """Return resource and path in one line."""
        return f"{self.resource}: {self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Hold what a manifest file makes and starts, in the order of the file."""

    resources: tuple[Resource, ...]
    images: tuple[StartedImage, ...]
    secrets: tuple[Resource, ...]
    """The Secrets among the resources that have a value already."""


def read(text: str, name: str) -> Manifest:
    """Read a manifest of any number of documents, YAML or JSON.

    Raise DocumentError when it is neither, or when an image is no reference (a placeholder, say).
    """
    resources: list[Resource] = []
    images: list[StartedImage] = []
    secrets: list[Resource] = []
    faults: list[Fault] = []
    for resource, value, prefix in values(text, name):
        resources.append(resource)
        if resource.kind == SCHEMAS:
            continue
        if resource.kind == _SECRET and any(value.get(key) for key in _VALUES):
            secrets.append(resource)
        for path, image in _images(value, prefix):
            try:
                reference = _reference(image)
            except ValueError as error:
                where = f"{resource}: {path}"
                hint = "fill in placeholders first" if _PLACEHOLDER & {*str(image)} else None
                faults.append(Fault(where=where, what=str(error), hint=hint))
            else:
                images.append(
                    StartedImage(text=image, reference=reference, resource=resource, path=path)
                )
    if faults:
        raise DocumentError(name, faults)
    return Manifest(resources=tuple(resources), images=tuple(images), secrets=tuple(secrets))


def find_images(text: str, name: str) -> list[StartedImage]:
    """Return every image that a manifest starts; see :func:`read`."""
    return list(read(text, name).images)


def values(text: str, name: str) -> Iterator[tuple[Resource, Any, str]]:
    """Yield each resource with its values, and its path where it lies in a List.

    Every string among the values is a :class:`~builder.formats.events.Scalar` of ``text``.
    """
    if text.lstrip().startswith(("{", "[")):
        # libyaml takes JSON, but no tabs before it; inside strings JSON has none
        text = text.replace("\t", " ")
    for document in yaml_documents(text, name, manifest=True):
        for value, path in _unpack(document.value):
            yield _resource(value), value, path


def _reference(image: Any) -> Reference:
    if not isinstance(image, str):
        raise ValueError(f"{kind(image)} is not an image reference")  # noqa: TRY004 -- a mistake of the document's
    return Reference.parse(image)


def _unpack(value: Any, path: str = "") -> Iterator[tuple[Any, str]]:
    """Yield the resources of a document with their paths: itself, or the items of a List."""
    items = value.get("items") if isinstance(value, dict) else None
    if isinstance(items, list) and str(value.get("kind", "List")).endswith("List"):
        for number, item in enumerate(items):
            yield from _unpack(item, f"{path}items[{number}].")
    else:
        yield value, path


def _resource(value: Any) -> Resource:
    if not isinstance(value, dict):
        return Resource(api_version="", kind="")
    metadata = value.get("metadata")
    if not isinstance(metadata, dict):
        metadata = {}
    return Resource(
        api_version=_text(value.get("apiVersion")),
        kind=_text(value.get("kind")),
        namespace=_text(metadata.get("namespace")),
        name=_text(metadata.get("name") or metadata.get("generateName")),
    )


def _text(value: Any) -> str:
    text = str(value)[:_LONGEST_NAME] if isinstance(value, (str, int)) else ""
    return text if text.isprintable() else ascii(text)


def _images(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield path and image of every container below a value, in its order."""
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _images(item, f"{path}[{number}]")
    elif isinstance(value, dict):
        spec = [(key, value[key]) for key in _CONTAINERS if isinstance(value.get(key), list)]
        if spec and isinstance(value.get("volumes"), list):
            yield from _volumes(value["volumes"], child(path.rstrip("."), "volumes"))
        for key, containers in spec:
            for number, container in enumerate(containers):
                image = container.get("image") if isinstance(container, dict) else None
                if image is not None and image != "":
                    yield f"{child(path.rstrip('.'), key)}[{number}].image", image
        for key, inner in value.items():
            yield from _images(inner, child(path.rstrip("."), key))


def _volumes(volumes: list[Any], path: str) -> Iterator[tuple[str, Any]]:
    """Yield path and image of every volume that is one (from Kubernetes 1.31 on)."""
    for number, volume in enumerate(volumes):
        image = volume.get("image") if isinstance(volume, dict) else None
        if isinstance(image, dict) and image.get("reference"):
            yield f"{path}[{number}].image.reference", image["reference"]

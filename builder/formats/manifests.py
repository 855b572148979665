"""Kubernetes manifests: the images that they start and the resources that they make.

A pod spec is any mapping with ``containers`` (or ``initContainers``, ``ephemeralContainers``) that
is a list of mappings, wherever it lies: in a workload of any kind, in a List, in a template inside
a custom resource. The schema of a CustomResourceDefinition starts nothing; of that, only defaults
are looked into.
"""

from __future__ import annotations

import base64
import re
from bisect import bisect_left
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from builder.errors import DocumentError, Fault
from builder.formats import image_mentions, manifest_hints
from builder.formats.events import Scalar
from builder.formats.reading import child, kind
from builder.formats.text import yaml_documents
from builder.model.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator

    from builder.formats.image_mentions import Mention

_KUBERNETES = frozenset(
    f"{group}.k8s.io"
    for group in (
        "admissionregistration", "apiextensions", "apiregistration", "authentication",
        "authorization", "certificates", "coordination", "discovery", "events",
        "flowcontrol.apiserver", "internal.apiserver", "networking", "node",
        "rbac.authorization", "resource", "scheduling", "storage", "storagemigration",
    )
)  # fmt: skip
"""Groups of Kubernetes itself; those without a dot are, too."""
_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")
SCHEMAS = "CustomResourceDefinition"
_SECRET, _VALUES = "Secret", ("data", "stringData")
_ENCODED = {"ConfigMap": "binaryData", "Secret": "data"}
_EMBEDDING = {"ConfigMap": ("data",), "Secret": ("stringData",)}
DEEPEST = 3
"""Levels of manifests inside of manifests."""
_LONGEST_NAME = 80


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
class ImagePlace:
    resource: Resource
    path: str
    """Inside the resource, such as ``spec.template.spec.containers[0].image``."""
    line: int

    def __str__(self) -> str:
        return f"{self.resource}: {self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedImage:
    """Hold one image that a manifest starts, and where it is named."""

    text: str
    """As the manifest has it; a Scalar, unless it is in a manifest inside a string."""
    reference: Reference
    place: ImagePlace
    pulled: str = ""
    """Why kubelet asks a registry at each start, even if the image is there; else empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MentionedImage:
    """Hold what looks like an image, but stands in no pod spec."""

    text: str
    """As ``extra.images`` takes it."""
    reference: Reference
    place: ImagePlace
    digest_apart: bool = False
    """Whether its digest has a field of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Hold what a manifest file makes and starts, in the order of the file."""

    name: str
    """Of the file."""
    resources: tuple[Resource, ...]
    is_list: bool
    """Whether the first of the resources lies in a List."""
    images: tuple[StartedImage, ...]
    secrets: tuple[Resource, ...]
    """The Secrets among the resources that have a value already."""
    mentioned: tuple[MentionedImage, ...]
    """What the file does not start itself."""
    digested: tuple[MentionedImage, ...]
    """What is asked for by a digest in a field of its own, also if the file starts it besides."""
    not_understood: tuple[Fault, ...]
    """What may start images that nobody can see here."""


def read(text: str, name: str, *, applied: bool = False) -> Manifest:
    """Read a manifest of any number of documents, YAML or JSON.

    Raise DocumentError when it is neither, or when an image is not a reference (a placeholder).
    What is ``applied`` by kubectl, or started by kubelet, is JSON for them if it begins with ``{``.
    """
    return _read(text, name, 0, applied=applied)


def _read(text: str, name: str, depth: int, *, applied: bool = False) -> Manifest:
    search = _Search(name, depth)
    search.read(text, applied=applied)
    if search.faults:
        raise DocumentError(name, search.faults)
    started = {image.reference for image in search.images}
    return Manifest(
        name=name,
        resources=tuple(search.resources),
        is_list=search.is_list,
        images=tuple(search.images),
        secrets=tuple(search.secrets),
        mentioned=tuple(image for image in search.mentioned if image.reference not in started),
        digested=tuple(image for image in search.mentioned if image.digest_apart),
        not_understood=tuple(search.not_understood),
    )


class _Search:
    def __init__(self, name: str, depth: int) -> None:
        self.name = name
        self.depth = depth
        self.resources: list[Resource] = []
        self.is_list = False
        self.images: list[StartedImage] = []
        self.secrets: list[Resource] = []
        self.mentioned: list[MentionedImage] = []
        self.not_understood: list[Fault] = []
        self.faults: list[Fault] = []

    def read(self, text: str, *, applied: bool) -> None:
        schemas = 0
        breaks = [match.start() for match in re.finditer("\n", text)]
        for resource, value, prefix in values(text, self.name, applied=applied):
            self.is_list = bool(prefix) if not self.resources else self.is_list
            self.resources.append(resource)

            def line(scalar: Scalar) -> int:
                return bisect_left(breaks, scalar.start) + 1

            if resource.kind == SCHEMAS:
                schemas += 1
                for found in image_mentions.in_schema(value, prefix.rstrip(".")):
                    place = ImagePlace(resource=resource, path=found.path, line=line(found.scalar))
                    self.mention(found, place)
                continue
            if resource.kind == _SECRET and any(value.get(key) for key in _VALUES):
                self.secrets.append(resource)
            self.note_unknown(resource, value, prefix)
            self.images_of(resource, value, prefix, line)
            inside = dict(embedded(resource, value, prefix, self.depth))
            for path, scalar in inside.items():
                self.inside(resource, path, scalar, line(scalar) + (scalar.style == "|"))
            self.mentions_of(resource, value, prefix, line, inside)

        if schemas:
            what = "what is started for custom resources is known to their operators alone"
            self.not_understood.append(Fault(where=f"{schemas} {SCHEMAS}", what=what))

    def mentions_of(
        self,
        resource: Resource,
        value: Any,
        prefix: str,
        line: Callable[[Scalar], int],
        inside: Container[str],
    ) -> None:
        """Note what looks like an image, but in the manifests ``inside`` strings."""
        for path, scalar in _decoded(resource, value, prefix):
            for found in image_mentions.find(scalar, path):
                self.mention(found, ImagePlace(resource=resource, path=path, line=line(scalar)))
        words = {} if resource.kind == _SECRET else value  # what is secret is not printed
        for found in image_mentions.find(words, prefix.rstrip(".")):
            if found.path not in inside:
                at = line(found.scalar)
                if found.scalar.style == "|":
                    at += 1 + found.lines
                self.mention(found, ImagePlace(resource=resource, path=found.path, line=at))

    def images_of(
        self, resource: Resource, value: Any, prefix: str, line: Callable[[Scalar], int]
    ) -> None:
        for path, image, policy in _images(value, prefix):
            at = line(image) if isinstance(image, Scalar) else 0
            place = ImagePlace(resource=resource, path=path, line=at)
            try:
                reference = _reference(image)
            except ValueError as error:
                hint = manifest_hints.of_image(str(image))
                self.faults.append(Fault(where=str(place), what=str(error), hint=hint))
            else:
                pulled = _pulled(policy, reference)
                self.images.append(
                    StartedImage(text=image, reference=reference, place=place, pulled=pulled)
                )

    def inside(self, resource: Resource, path: str, scalar: Scalar, first: int) -> None:
        """Read a manifest that is a string of another one; its lines begin at ``first``."""
        literal = scalar.style == "|"
        try:
            manifest = _read(str(scalar), self.name, self.depth + 1)
        except DocumentError as error:
            what, hint = f"a manifest that cannot be read: {error.faults[0]}", error.faults[0].hint
            self.not_understood.append(Fault(where=f"{resource}: {path}", what=what, hint=hint))
            for found in image_mentions.find(scalar, path):
                at = first + (found.lines if literal else 0)
                self.mention(found, ImagePlace(resource=resource, path=path, line=at))
            return

        def outer(place: ImagePlace) -> ImagePlace:
            at = first + (place.line - 1 if literal else 0)
            return ImagePlace(resource=resource, path=f"{path}: {place}", line=at)

        # plain strings: where they stand is said by another text
        self.images += (
            replace(image, text=str(image.text), place=outer(image.place))
            for image in manifest.images
        )
        images = dict.fromkeys((*manifest.mentioned, *manifest.digested))
        self.mentioned += (replace(image, place=outer(image.place)) for image in images)
        around = f"{resource}: {path}"
        self.not_understood += (fault.inside(around) for fault in manifest.not_understood)

    def mention(self, found: Mention, place: ImagePlace) -> None:
        self.mentioned.append(
            MentionedImage(
                text=found.name,
                reference=Reference.parse(found.name),
                place=place,
                digest_apart=found.digest_apart,
            )
        )

    def note_unknown(self, resource: Resource, value: Any, prefix: str) -> None:
        group = resource.api_version.rpartition("/")[0]
        if hint := manifest_hints.of_printed(value):
            what = "words that are no part of a resource, for which kubectl refuses it"
        elif not resource.kind or not resource.api_version:
            said = {"apiVersion": resource.api_version, "kind": resource.kind}
            lacking = " and no ".join(key for key, text in said.items() if not text)
            what = f"no Kubernetes resource: it has no {lacking}"
            hint = manifest_hints.of_other(value)
        elif group in manifest_hints.RENDERED:
            what = f"{resource.api_version} is not applied as it is"
            hint = manifest_hints.RENDERED[group]
        elif group and "." in group and group not in _KUBERNETES:
            what = "a custom resource: what else it has started is known to its operator"
            hint = None
        else:
            return
        where = f"{prefix.rstrip('.')}: {resource}" if prefix else str(resource)
        self.not_understood.append(Fault(where=where, what=what, hint=hint))


def embedded(
    resource: Resource, value: Any, prefix: str, depth: int
) -> Iterator[tuple[str, Scalar]]:
    """Yield path and text of what may be a manifest in a string of a ConfigMap or Secret.

    ``depth`` is how many such strings this one is in.
    """
    for field in _EMBEDDING.get(resource.kind, ()) if depth < DEEPEST else ():
        strings = value.get(field)
        for key, text in strings.items() if isinstance(strings, dict) else ():
            if isinstance(text, Scalar) and "apiVersion" in text and "kind" in text:
                yield child(f"{prefix}{field}", key), text


def _decoded(resource: Resource, value: Any, prefix: str) -> Iterator[tuple[str, Scalar]]:
    """Yield path and text of manifests in base64."""
    field = _ENCODED.get(resource.kind, "")
    strings = value.get(field) if field else None
    for key, text in strings.items() if isinstance(strings, dict) else ():
        try:
            inner = Scalar(base64.b64decode("".join(text.split()), validate=True).decode())
        except (AttributeError, ValueError):
            continue  # no text at all
        inner.start, inner.end, inner.style = text.start, text.end, ""
        if "apiVersion" in inner and "kind" in inner:
            yield child(f"{prefix}{field}", key), inner


def values(text: str, name: str, *, applied: bool = False) -> Iterator[tuple[Resource, Any, str]]:
    """Yield each resource with its values, and its path where it lies in a List.

    Every string among the values is a :class:`~builder.formats.events.Scalar` of ``text``.
    """
    for document in yaml_documents(text, name, manifest=True, applied=applied):
        yield from _unpack(document.value)


def _reference(image: Any) -> Reference:
    if not isinstance(image, str):
        raise ValueError(f"{kind(image)} is not an image reference")  # noqa: TRY004 -- a mistake of the document's
    return Reference.parse(image)


def _unpack(
    value: Any, path: str = "", usual: tuple[str, str] = ("", "")
) -> Iterator[tuple[Resource, Any, str]]:
    """Yield the resources of a document with their paths: itself, or the items of a List.

    An item without apiVersion and kind has those that its list is for (``usual``), as for kubectl.
    """
    resource = _resource(value, usual)
    items = value.get("items") if isinstance(value, dict) else None
    if isinstance(items, list) and (not resource.kind or resource.kind.endswith("List")):
        kind = resource.kind.removesuffix("List")
        for number, item in enumerate(items):
            inherited = (resource.api_version, kind) if kind else ("", "")
            yield from _unpack(item, f"{path}items[{number}].", inherited)
    else:
        yield resource, value, path


def _resource(value: Any, usual: tuple[str, str]) -> Resource:
    if not isinstance(value, dict):
        return Resource(api_version="", kind="")
    said = _text(value.get("apiVersion")), _text(value.get("kind"))
    api_version, kind = said if any(said) else usual
    metadata = value.get("metadata")
    if not isinstance(metadata, dict):
        metadata = {}
    return Resource(
        api_version=api_version,
        kind=kind,
        namespace=_text(metadata.get("namespace")),
        name=_text(metadata.get("name") or metadata.get("generateName")),
    )


def _text(value: Any) -> str:
    text = str(value)[:_LONGEST_NAME] if isinstance(value, (str, int)) else ""
    return text if text.isprintable() else ascii(text)


def _pulled(policy: Any, reference: Reference) -> str:
    """Tell why an image is pulled each time, as the API server fills in what a container lacks."""
    if not policy and reference.tag == "latest":
        return "the tag latest without imagePullPolicy"
    return "imagePullPolicy: Always" if policy == "Always" else ""


def _images(value: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield path, image and pull policy of every container below a value, in its order."""
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
                    where = f"{child(path.rstrip('.'), key)}[{number}].image"
                    yield where, image, container.get("imagePullPolicy")
        for key, inner in value.items():
            yield from _images(inner, child(path.rstrip("."), key))


def _volumes(volumes: list[Any], path: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield the same of every volume that is an image (from Kubernetes 1.31 on)."""
    for number, volume in enumerate(volumes):
        image = volume.get("image") if isinstance(volume, dict) else None
        if isinstance(image, dict) and image.get("reference"):
            yield f"{path}[{number}].image.reference", image["reference"], image.get("pullPolicy")

"""Exact edits that give the images of a manifest the names that a registry has them by.

They are made where the documents are parsed, out of the places of their strings, and applied by
what knows nothing of YAML. An image of a pod spec is what :mod:`builder.formats.manifests` says it
is. Beside those, names of images stand in custom resources, in manifests inside ConfigMaps, in
arguments: what is known by a whole name is replaced wherever it stands, and a short name where
``image:`` precedes it or :mod:`~builder.formats.image_mentions` takes it for an image.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from builder.errors import DocumentError, Fault
from builder.formats import image_mentions
from builder.formats.events import ALIAS, Scalar
from builder.formats.image_mentions import PASSED_BY, is_exact, is_whole, parsed
from builder.formats.manifests import DEEPEST, SCHEMAS, embedded, read, values
from builder.formats.reading import child
from builder.formats.text import decode
from builder.model.digest import Digest
from builder.model.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from builder.formats.image_mentions import Mention

_NAME = re.compile(
    r"""(?P<key>(?:^|(?<=[\s{,-]))["']?image["']?:[ \t]*["']?)?"""
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._/:@-]*)",
    re.MULTILINE,
)
_END = re.compile(r"[\"']?[ \t\r]*(?:$|[\n,}\]#])")
_API_OF_HUB = "registry-1.docker.io/"
"""A name of Docker Hub that engines don't know as such."""
_BLOCKS = ("|", ">")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Edit:
    offset: int
    size: int
    text: str


def edits(
    content: bytes, name: str, targets: Mapping[Reference, str], *, complete: bool = True
) -> tuple[Edit, ...]:
    """Return what gives each image of a manifest its target's name, in the file's order.

    Raise DocumentError for every image that has no target, if targets are to be ``complete``.
    """
    text = decode(content, name)
    replaced = _replaced(text, name, targets, complete=complete)
    return tuple(_in_bytes(text, content, replaced))


def _replaced(
    text: str, name: str, targets: Mapping[Reference, str], *, complete: bool, depth: int = 0
) -> dict[int, tuple[int, str]]:
    search = _Search(text, targets, complete=complete, depth=depth)
    for image in read(text, name).images:
        if isinstance(image.text, Scalar):  # what is inside a string comes with the string
            search.image(image.text, image.reference, str(image.place))
    for resource, value, prefix in values(text, name):
        if resource.kind != SCHEMAS:
            for path, scalar in embedded(resource, value, prefix, depth):
                search.manifest(scalar, f"{resource}: {path}")
            for found in image_mentions.find(value):
                search.mention(found)
            for path, key, scalar in _scalars(value, prefix.rstrip(".")):
                search.string(scalar, key, f"{resource}: {path}")
    if search.faults:
        raise DocumentError(name, list(search.faults.values()))
    return search.replaced


def applied(content: bytes, edits: Iterable[Edit]) -> bytes:
    parts, end = [], 0
    for edit in edits:
        parts += [content[end : edit.offset], edit.text.encode()]
        end = edit.offset + edit.size
    return b"".join((*parts, content[end:]))


def render(
    content: bytes, name: str, targets: Mapping[Reference, str], *, complete: bool = True
) -> str:
    """Return a manifest's edits as a node applies them; nothing where it stays as it is.

    The first line is ``manifest SHA256 SHA256-AFTER``. Each other says how many bytes to keep, how
    many to drop then, and what takes their place.
    """
    made = edits(content, name, targets, complete=complete)
    if not made and not complete:
        return ""
    before, after = Digest.of(content), Digest.of(applied(content, made))
    lines, end = [f"manifest {before.hex} {after.hex}\n"], 0
    for edit in made:
        lines.append(f"{edit.offset - end} {edit.size} {edit.text}\n")
        end = edit.offset + edit.size
    return "".join(lines)


class _Search:
    def __init__(
        self, text: str, targets: Mapping[Reference, str], *, complete: bool, depth: int
    ) -> None:
        self.text = text
        self.complete = complete
        self.depth = depth
        self.targets = targets
        self.replaced: dict[int, tuple[int, str]] = {}
        """End and replacement by start, in characters."""
        self.faults: dict[int, Fault] = {}
        self.seen: set[int] = set()
        """Where strings begin: aliases lead to one again."""
        self.mentioned: dict[int, set[str]] = {}
        """What looks like an image, by where its string begins."""

    def image(self, scalar: Scalar, reference: Reference, where: str) -> None:
        """Replace a string that is an image's name and nothing else."""
        if scalar.start in self.seen:
            return
        self.seen.add(scalar.start)
        target = self.targets.get(reference)
        if target is None:
            self.miss(scalar.start, scalar, where)
            return
        if _stays(scalar, target):
            return
        start = self.start_of(scalar)
        if start is None:  # an alias, or in quotes and with escapes
            self.whole(scalar, target)
        else:  # in brackets, an IPv6 address is not a plain string
            quoted = not scalar.style and target.startswith("[")
            self.replaced[start] = (start + len(scalar), f'"{target}"' if quoted else target)

    def mention(self, found: Mention) -> None:
        if found.tagged_apart:
            self.fields(found)
        elif is_exact(found.name) or found.scalar == found.name:
            self.mentioned.setdefault(found.scalar.start, set()).add(found.name)

    def fields(self, found: Mention) -> None:
        """Replace an image whose registry, repository and tag stand in fields of their own."""
        target = self.targets.get(Reference.parse(found.name))
        if target is None or found.scalar.start in self.seen or _stays(found.name, target):
            return
        repository = target.rpartition(":")[0]
        if found.registry is not None:
            registry, _, repository = repository.partition("/")
            self.seen.add(found.registry.start)
            self.whole(found.registry, registry)
        self.seen.add(found.scalar.start)
        if found.scalar != repository:  # without a registry only a digest would change
            self.whole(found.scalar, repository)

    def whole(self, scalar: Scalar, value: str) -> None:
        """Replace a string by another one in double quotes, which all of YAML and JSON read."""
        start, end = scalar.start, scalar.end
        if scalar.style:
            start = self.text.index(scalar.style, start)
        else:
            start = self.start_of(scalar) or start
        if scalar.style in _BLOCKS:
            end = start + len(self.text[start:end].rstrip())
        self.replaced[start] = (end, _quoted(value))

    def manifest(self, scalar: Scalar, where: str) -> None:
        """Replace the images of a manifest, or of other YAML, that is a string of this one."""
        if scalar.start in self.seen:
            return
        inner = str(scalar)
        try:
            read(inner, where)
        except DocumentError:
            return  # no manifest after all; its words are looked at like any others
        self.seen.add(scalar.start)
        try:
            replaced = _replaced(
                inner, where, self.targets, complete=self.complete, depth=self.depth + 1
            )
        except DocumentError as error:
            for number, fault in enumerate(error.faults):
                self.faults[scalar.start + number] = fault.inside(where)
        else:
            if replaced:
                content = inner.encode()
                self.whole(scalar, applied(content, _in_bytes(inner, content, replaced)).decode())

    def start_of(self, scalar: Scalar) -> int | None:
        """Return where the value itself begins, behind anchor, tag, quote and a block's head."""
        if scalar.style == ALIAS:
            return None
        if scalar.style in _BLOCKS:  # the head may have a comment
            start = self.text.find(scalar, self.text.index("\n", scalar.start), scalar.end)
        else:
            start = self.text.rfind(scalar, scalar.start, scalar.end)
        return None if start < 0 else start

    def string(self, scalar: Scalar, key: str, where: str) -> None:
        """Replace the names of images in any other string."""
        if scalar.start in self.seen:
            return
        reference = parsed(scalar) if key == "image" else None
        # without a tag it may be anything, such as a name in an ImageSet
        if reference and (reference in self.targets or is_exact(scalar)):
            self.image(scalar, reference, where)
            return
        if self.depth < DEEPEST and image_mentions.says_apart(scalar):
            self.manifest(scalar, where)
            if scalar.start in self.seen:
                return
        self.seen.add(scalar.start)
        names = self.mentioned.get(scalar.start, set())
        if scalar.style == '"' and "\\" in self.text[scalar.start : scalar.end]:
            # the words of the text are not those of the value
            made = dict(self.words(str(scalar), 0, len(scalar), names, scalar.start, where))
            if made:
                content = scalar.encode()
                edits = _in_bytes(str(scalar), content, made)
                self.whole(scalar, applied(content, edits).decode())
            return
        self.replaced.update(self.words(self.text, scalar.start, scalar.end, names, 0, where))

    def words(
        self, text: str, start: int, end: int, names: set[str], base: int, where: str
    ) -> Iterator[tuple[int, tuple[int, str]]]:
        """Yield the names of images between two places of a text, with their targets."""
        for match in _NAME.finditer(text, start, end):
            first, last = match.span("name")
            name = match["name"]
            is_image = match["key"] is not None and _END.match(text, last, end)
            if not is_image and not is_whole(name) and name not in names:
                continue
            reference = parsed(name)
            if reference and reference in self.targets:
                if not _stays(name, self.targets[reference]):
                    yield first, (last, self.targets[reference])
            elif reference and is_image and is_exact(name):
                self.miss(base + first, name, where)

    def miss(self, start: int, name: str, where: str) -> None:
        if not self.complete:
            return
        self.faults[start] = Fault(
            where=where,
            what=f"{name} has no name in the registry: it is not in the lock",
            hint="put it into extra.images in cluster.yaml, then lock and bundle again",
        )


def _scalars(value: Any, path: str, key: str = "") -> Iterator[tuple[str, str, Scalar]]:
    """Yield path, key and string of all strings below a value that may name images."""
    if isinstance(value, Scalar):
        yield path, key, value
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _scalars(item, f"{path}[{number}]")
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name not in PASSED_BY:
                yield from _scalars(inner, child(path, name), name)


def _stays(name: str, target: str) -> bool:
    """Tell whether a name is its target's already, as docker and containerd read names."""
    return str(parsed(name)) == target and not name.startswith(_API_OF_HUB)


def _quoted(value: str) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return "".join(mark if mark.isprintable() else f"\\u{ord(mark):04x}" for mark in text)


def _in_bytes(text: str, content: bytes, replaced: Mapping[int, tuple[int, str]]) -> Iterator[Edit]:
    before, offset = 0, len(content) - len(text.encode())  # of a byte order mark
    for start, (end, target) in sorted(replaced.items()):
        offset += len(text[before:start].encode())
        size = len(text[start:end].encode())
        if target != text[start:end]:
            yield Edit(offset=offset, size=size, text=target)
        before, offset = end, offset + size

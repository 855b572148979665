"""Exact edits that give the images of a manifest the names that a registry has them by.

They are made where the documents are parsed, out of the places of their strings, and applied by
what knows nothing of YAML. An image of a pod spec is what :mod:`builder.formats.manifests` says it
is. Beside those, names of images stand in custom resources, in manifests inside ConfigMaps, in
arguments: what is known by a whole name is replaced wherever it stands, and a short name where
``image:`` precedes it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from builder.errors import DocumentError, Fault
from builder.formats.events import ALIAS, Scalar
from builder.formats.manifests import SCHEMAS, read, values
from builder.formats.reading import child
from builder.formats.text import decode
from builder.model.digest import Digest
from builder.model.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_NAME = re.compile(
    r"""(?P<key>(?:^|(?<=[\s{,-]))["']?image["']?:[ \t]*["']?)?"""
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._/:@-]*)",
    re.MULTILINE,
)
_END = re.compile(r"[\"']?[ \t\r]*(?:$|[\n,}\]#])")
_BLOCKS = ("|", ">")
_LABELS = frozenset({"labels", "matchLabels", "nodeSelector", "selector"})


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Edit:
    offset: int
    size: int
    text: str


def edits(content: bytes, name: str, targets: Mapping[Reference, str]) -> tuple[Edit, ...]:
    """Return what gives each image of a manifest its target's name, in the file's order.

    Raise DocumentError for every image that has no target.
    """
    text = decode(content, name)
    search = _Search(text, targets)
    for image in read(text, name).images:
        search.image(image.text, image.reference, image.where)
    for resource, value, prefix in values(text, name):
        if resource.kind != SCHEMAS:
            for path, key, scalar in _scalars(value, prefix.rstrip(".")):
                search.string(scalar, key, f"{resource}: {path}")
    if search.faults:
        raise DocumentError(name, list(search.faults.values()))
    return tuple(_in_bytes(text, content, search.replaced))


def applied(content: bytes, edits: Iterable[Edit]) -> bytes:
    parts, end = [], 0
    for edit in edits:
        parts += [content[end : edit.offset], edit.text.encode()]
        end = edit.offset + edit.size
    return b"".join((*parts, content[end:]))


def render(content: bytes, name: str, targets: Mapping[Reference, str]) -> str:
    """Return a manifest's edits as a node applies them.

    The first line is ``manifest SHA256 SHA256-AFTER``. Each other says how many bytes to keep, how
    many to drop then, and what takes their place.
    """
    made = edits(content, name, targets)
    before, after = Digest.of(content), Digest.of(applied(content, made))
    lines, end = [f"manifest {before.hex} {after.hex}\n"], 0
    for edit in made:
        lines.append(f"{edit.offset - end} {edit.size} {edit.text}\n")
        end = edit.offset + edit.size
    return "".join(lines)


class _Search:
    def __init__(self, text: str, targets: Mapping[Reference, str]) -> None:
        self.text = text
        self.targets = targets
        self.replaced: dict[int, tuple[int, str]] = {}
        """End and replacement by start, in characters."""
        self.faults: dict[int, Fault] = {}
        self.seen: set[int] = set()
        """Where strings begin: aliases lead to one again."""

    def image(self, scalar: Scalar, reference: Reference, where: str) -> None:
        """Replace a string that is an image's name and nothing else."""
        if scalar.start in self.seen:
            return
        self.seen.add(scalar.start)
        target = self.targets.get(reference)
        if target is None:
            self.miss(scalar.start, scalar, where)
            return
        start = self.start_of(scalar)
        if start is None:  # an alias, or in quotes and with escapes
            start = self.text.index(scalar.style, scalar.start)
            self.replaced[start] = (scalar.end, f'"{target}"')
        else:  # in brackets, an IPv6 address is no plain string
            quoted = not scalar.style and target.startswith("[")
            self.replaced[start] = (start + len(scalar), f'"{target}"' if quoted else target)

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
        reference = _parsed(scalar) if key == "image" else None
        # without a tag it may be anything, such as a name in an ImageSet
        if reference and (reference in self.targets or _is_exact(scalar)):
            self.image(scalar, reference, where)
            return
        self.seen.add(scalar.start)
        for match in _NAME.finditer(self.text, scalar.start, scalar.end):
            start, end = match.span("name")
            name = match["name"]
            is_image = match["key"] is not None and _END.match(self.text, end, scalar.end)
            if not is_image and not _is_whole(name):
                continue
            reference = _parsed(name)
            if reference and reference in self.targets:
                self.replaced[start] = (end, self.targets[reference])
            elif reference and is_image and _is_exact(name):
                self.miss(start, name, where)

    def miss(self, start: int, name: str, where: str) -> None:
        self.faults[start] = Fault(
            where=where,
            what=f"{name} has no name in the registry: it is not in the lock",
            hint="put it into extra.images in cluster.yaml, then lock and bundle again",
        )


def _scalars(value: Any, path: str, key: str = "") -> Iterator[tuple[str, str, Scalar]]:
    """Yield path, key and string of all strings below a value but labels, which name no images."""
    if isinstance(value, Scalar):
        yield path, key, value
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _scalars(item, f"{path}[{number}]")
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name not in _LABELS:
                yield from _scalars(inner, child(path, name), name)


def _parsed(name: str) -> Reference | None:
    try:
        return Reference.parse(name)
    except ValueError:
        return None


def _is_exact(name: str) -> bool:
    return "@" in name or ":" in name.rpartition("/")[2]


def _is_whole(name: str) -> bool:
    """Tell whether a name is an image's wherever it stands: with a host, and a tag or a digest."""
    host, slash, _ = name.partition("/")
    return bool(slash) and _is_exact(name) and ("." in host or ":" in host or host == "localhost")


def _in_bytes(text: str, content: bytes, replaced: Mapping[int, tuple[int, str]]) -> Iterator[Edit]:
    before, offset = 0, len(content) - len(text.encode())  # of a byte order mark
    for start, (end, target) in sorted(replaced.items()):
        offset += len(text[before:start].encode())
        size = len(text[start:end].encode())
        if target != text[start:end]:
            yield Edit(offset=offset, size=size, text=target)
        before, offset = end, offset + size

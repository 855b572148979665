"""Shapes: one table of fields serves strict reader, JSON Schema and writer alike.

A shape reads a plain value (see :mod:`builder.formats.text`) into a typed one. Whatever is wrong
is written down with its path and reading goes on, so that a person sees every fault at once::

    node = Record(Node, name=Field(Text(), required=True), labels=Field(MapOf(Text())))
    reading = Reading("cluster.yaml", document.lines)
    value = node.read(document.value, "", reading)
    reading.finish()                       # raises DocumentError when there was a fault
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic

from builder.errors import nearest
from builder.formats.reading import WRONG, Reading, child, kind
from builder.formats.shape import T, Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from builder.formats.shape import Shape


_SLIP = 0.85
"""How near a key must be to be the same word with a slip."""


@dataclass(frozen=True)
class ListOf(Generic[T]):
    """Read a list; with ``lone`` a single value stands for a list of one."""

    item: Shape[T]
    least: int = 0
    most: int = 100_000
    lone: bool = False
    partial: bool = False
    """Return what could be read, with :data:`WRONG` in the gaps, so that rules see the rest."""

    def read(self, value: Any, path: str, reading: Reading) -> tuple[T, ...]:
        named = isinstance(value, dict) and isinstance(self.item, Text)
        if self.lone and value is not None and not (named or isinstance(value, list)):
            return self._whole([self.item.read(value, path, reading)])
        if not isinstance(value, list):
            hint = _bare(value) if named else None
            return reading.wrong(path, f"{kind(value)} is not a list", expected="a list", hint=hint)
        if not self.least <= len(value) <= self.most:
            return reading.wrong(
                path, f"{len(value)} entries", expected=f"{self.least} to {self.most} entries"
            )
        return self._whole(
            [self.item.read(v, f"{path}[{i}]", reading) for i, v in enumerate(value)]
        )

    def _whole(self, items: list[T]) -> tuple[T, ...]:
        if not self.partial and any(item is WRONG for item in items):
            return WRONG
        return tuple(items)

    def write(self, value: Iterable[T]) -> list[Any]:
        return [self.item.write(item) for item in value]

    def schema(self) -> dict[str, Any]:
        item = self.item.schema()
        many: dict[str, Any] = {"type": "array", "items": item, "maxItems": self.most}
        if self.least:
            many["minItems"] = self.least
        return {"anyOf": [item, many]} if self.lone else many


@dataclass(frozen=True)
class MapOf(Generic[T]):
    item: Shape[T]
    key: str = r".+"
    """The pattern of its keys."""
    parse: Callable[[str], Any] = str
    """Turns a key into what the value has it as."""

    def read(self, value: Any, path: str, reading: Reading) -> dict[Any, T]:
        if not isinstance(value, dict):
            return reading.wrong(
                path,
                f"{kind(value)} is not a mapping",
                expected="a mapping",
                hint="write each as NAME: VALUE" if "=" in str(value) else None,
            )
        items: dict[Any, T] = {}
        good = True
        for key, item in value.items():
            if not re.fullmatch(self.key, key):
                what = f"the key {key[:80]!r} is not allowed here"
                hint = None if reading.full else reading.elsewhere(key)
                reading.wrong(child(path, key), what, hint=hint)
                good = False
                continue
            read = self.item.read(item, child(path, key), reading)
            good = good and read is not WRONG
            items[self.parse(key)] = read
        return items if good else WRONG

    def write(self, value: Mapping[Any, T]) -> dict[str, Any]:
        return {str(key): self.item.write(item) for key, item in value.items()}

    def schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "patternProperties": {f"^(?:{self.key})$": self.item.schema()},
            "additionalProperties": False,
        }


@dataclass(frozen=True)
class Field(Generic[T]):
    shape: Shape[T]
    doc: str = ""
    required: bool = False
    default: Any = None
    """The value when the key is absent; given to the builder as it is."""
    name: str | None = None
    """The builder's argument, where it is not the key with ``-`` as ``_``."""
    title: str = ""
    """A few words for editors."""
    examples: tuple[Any, ...] = ()
    """Plain values for editors, where the shape has no example of its own."""
    verbs: tuple[str, ...] = ()
    """Which verbs read it; without, those that read what it is in."""

    def schema(self) -> dict[str, Any]:
        """Describe the key; the value of an optional key may be left empty."""
        schema = self.shape.schema() if self.required else _nullable(self.shape.schema())
        words = {"title": self.title, "description": self.doc, "examples": list(self.examples)}
        return {**schema, **{key: text for key, text in words.items() if text}}


def required(shapes: Mapping[str, Shape[Any]]) -> dict[str, Field[Any]]:
    """Return fields without which a mapping is refused."""
    return {key: Field(shape, required=True) for key, shape in shapes.items()}


class Record(Generic[T]):
    def __init__(
        self,
        build: Callable[..., T],
        fields: Mapping[str, Field[Any]],
        *,
        doc: str = "",
        title: str = "a mapping",
        partial: bool = False,
        part: Callable[[T, str], Any] = getattr,
        advice: Callable[[str], str | None] = lambda _: None,
    ) -> None:
        self.build = build
        self.fields = dict(fields)
        self.doc = doc
        self.title = title
        self.partial = partial
        """Build it with :data:`WRONG` in the gaps, so that rules see the rest."""
        self.part = part
        """Looks up in a value what the builder has under a name."""
        self.advice = advice
        """Returns a hint for a text in the place of the mapping."""

    def read(self, value: Any, path: str, reading: Reading) -> T:
        """Read a mapping; unknown keys, missing keys and wrong values are all written down."""
        if not isinstance(value, dict):
            expected = f"{self.title} with {', '.join(self.fields)}"
            hint = self.advice(value) if isinstance(value, str) else None
            what = f"{kind(value)} is not a mapping"
            return reading.wrong(path, what, expected=expected, hint=hint)
        good = True
        misspelt = set()
        for key in value:
            if key not in self.fields:
                good = False
                if reading.full:  # a million unknown keys would take minutes to compare
                    break
                # a slip of the pen first, then what has that name in another place, then a guess
                near = nearest(key, self.fields, cutoff=_SLIP)
                hint = None if near else reading.elsewhere(key)
                near = near or (None if hint else nearest(key, self.fields))
                misspelt.add(near)
                reading.wrong(
                    child(path, key),
                    "unknown key",
                    expected=f"one of {', '.join(self.fields)}",
                    hint=f"did you mean {near!r}?" if near else hint,
                )
        arguments: dict[str, Any] = {}
        for key, entry in self.fields.items():
            if key in misspelt and key not in value:
                read = WRONG  # said once, where it stands
            else:
                read = self._field(value, key, entry, path, reading)
            good = good and read is not WRONG
            arguments[entry.name or key.replace("-", "_")] = read
        if not good and not self.partial:
            return WRONG
        try:
            return self.build(**arguments)
        except ValueError as error:
            return reading.wrong(path, str(error))

    def _field(
        self, value: dict[str, Any], key: str, entry: Field[Any], path: str, reading: Reading
    ) -> Any:
        if value.get(key) is None:
            if not entry.required:
                return entry.default
            what = "has no value" if key in value else "is missing"
            return reading.wrong(child(path, key), what, hint=entry.doc or None)
        return entry.shape.read(value[key], child(path, key), reading)

    def read_document(self, value: Any, name: str) -> T:
        """Read a whole document; raise DocumentError with every fault in it."""
        reading = Reading(name)
        result = self.read(value, "", reading)
        reading.finish()
        return result

    def write(self, value: T) -> dict[str, Any]:
        """Write a value in the order of the table; what is as if left out is left out."""
        written = {}
        for key, entry in self.fields.items():
            part = self.part(value, entry.name or key.replace("-", "_"))
            if part is not None and (entry.required or part != entry.default):
                written[key] = entry.shape.write(part)
        return written

    def schema(self) -> dict[str, Any]:
        properties = {key: entry.schema() for key, entry in self.fields.items()}
        schema: dict[str, Any] = {"type": "object", "properties": properties}
        if self.doc:
            schema = {"description": self.doc, **schema}
        required = [key for key, entry in self.fields.items() if entry.required]
        if required:
            schema["required"] = required
        return {**schema, "additionalProperties": False}


@dataclass(frozen=True)
class TextOr(Generic[T]):
    """Read a mapping, or a short text that stands for one."""

    short: Shape[T]
    long: Shape[T]

    def read(self, value: Any, path: str, reading: Reading) -> T:
        shape = self.long if isinstance(value, dict) else self.short
        return shape.read(value, path, reading)

    def write(self, value: T) -> Any:
        """Write the long form, which has a place for everything."""
        return self.long.write(value)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [self.short.schema(), self.long.schema()]}


def _bare(value: dict[str, Any]) -> str | None:
    """Return what helps where a list has a name, as netplan's nameservers and cloud-init's ntp."""
    names = [name for name, inner in value.items() if isinstance(inner, list)]
    return f"leave out {', '.join(names)}: the list itself stands here" if names else None


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """Let a schema accept null too, as a key without a value counts as left out."""
    if "anyOf" in schema:
        return {**schema, "anyOf": [*schema["anyOf"], {"type": "null"}]}
    if "enum" in schema:
        return {**schema, "enum": [*schema["enum"], None]}
    if "type" in schema:
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        return {**schema, "type": [*kinds, "null"]}
    return schema

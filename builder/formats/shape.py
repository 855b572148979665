"""Shapes: one table of fields serves the strict reader and the JSON Schema alike.

A shape reads a plain value (see :mod:`builder.formats.text`) into a typed one. Whatever is wrong
is written down with its path and reading goes on, so that a person sees every mistake at once::

    node = Record(Node, name=Field(Text(), required=True), labels=Field(MapOf(Text())))
    reading = Reading("cluster.yaml", document.lines)
    value = node.read(document.value, "", reading)
    reading.finish()                       # raises DocumentError when there was a mistake
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from builder.errors import DocumentError, Fault, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

# Generic shapes have no slots: Text[str]() writes its parameter onto the instance.
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class _Wrong:
    """Stands for a value that could not be read; its mistake is written down already.

    It is false and empty, so that a rule over a partly read document passes it by.
    """

    def __len__(self) -> int:
        return 0

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __repr__(self) -> str:
        return "WRONG"


WRONG: Any = _Wrong()
_LONGEST_KEY = 80
_LINES = {ord(space): " " for space in "\n\t"}
_LONGEST_PATH = 400
_MOST_FAULTS = 1000


class MisfitError(ValueError):
    """Refuse a text with advice of its own; what a ``parse`` of :class:`Text` may raise."""

    def __init__(self, what: str, *, hint: str | None = None) -> None:
        super().__init__(what)
        self.hint = hint


@dataclass(slots=True)
class Reading:
    """Collect the mistakes and remarks of one document while it is read."""

    document: str
    lines: Mapping[str, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    remarks: list[Fault] = field(default_factory=list)
    """What is allowed but deserves a warning."""

    def wrong(
        self, path: str, what: str, *, expected: str | None = None, hint: str | None = None
    ) -> Any:
        """Write a mistake down; give :data:`WRONG` for the caller to return."""
        fault = Fault(where=self.place(path), what=what, expected=expected, hint=hint)
        if len(self.faults) == _MOST_FAULTS:
            fault = Fault(where="", what="more mistakes follow; mend these first")
        if len(self.faults) <= _MOST_FAULTS:
            self.faults.append(fault)
        return WRONG

    @property
    def full(self) -> bool:
        """Tell whether so much is wrong already that nobody would read more of it."""
        return len(self.faults) > _MOST_FAULTS

    def remark(
        self, path: str, what: str, *, expected: str | None = None, hint: str | None = None
    ) -> None:
        """Write a warning down."""
        where = self.place(path)
        self.remarks.append(Fault(where=where, what=what, expected=expected, hint=hint))

    def place(self, path: str) -> str:
        """Give the path with its line, as ``nodes[2].address (line 14)``."""
        line = self.lines.get(path)
        return f"{path or 'document'} (line {line})" if line else path

    def finish(self) -> None:
        """Raise DocumentError with every mistake, if there was one."""
        if self.faults:
            raise DocumentError(self.document, self.faults)


class Shape(Protocol[T_co]):
    """Read one kind of value, and describe it."""

    def read(self, value: Any, path: str, reading: Reading) -> T_co:
        """Turn a plain value into a typed one, or write the mistake down and give WRONG."""
        ...

    def schema(self) -> dict[str, Any]:
        """Give the JSON Schema (draft 2020-12) of this shape."""
        ...


def kind(value: Any) -> str:
    """Name the type of a plain value in words of YAML."""
    for types, name in (
        (bool, "true or false"),
        (int, "a number"),
        (str, "text"),
        (list, "a list"),
        (dict, "a mapping"),
    ):
        if isinstance(value, types):
            return name
    return "nothing"


def child(path: str, key: str) -> str:
    """Give the path of a key below a path; what is not fit to print is quoted and cut."""
    if len(key) > _LONGEST_KEY or not key.isprintable():
        key = ascii(key[:_LONGEST_KEY])
    path = f"{path}.{key}" if path else key
    return path if len(path) <= _LONGEST_PATH else f"{path[:_LONGEST_PATH]}..."


@dataclass(frozen=True, kw_only=True)
class Text(Generic[T]):
    """Read text, whole numbers included, and hand it to ``parse`` where there is one."""

    parse: Callable[[str], T] | None = None
    """Turns the text into a value; raises ValueError with a whole sentence."""
    pattern: str | None = None
    expected: str = "text"
    example: str | None = None
    longest: int = 4096
    hint: str | None = None
    empty: bool = False
    """Whether empty text is allowed."""
    lines: bool = False
    """Whether line breaks and tabs are allowed."""

    def read(self, value: Any, path: str, reading: Reading) -> T:
        """Read text; see :class:`Shape`."""
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str):
            quote = f'write "{str(value).lower()}", in quotes' if isinstance(value, bool) else None
            return self._refuse(reading, path, f"{kind(value)} is not allowed here", quote)
        what = self._misfit(value)
        if what:
            return self._refuse(reading, path, what)
        if self.parse is None:
            return value  # type: ignore[return-value] # without parse T is str
        try:
            return self.parse(value)
        except ValueError as error:
            return self._refuse(reading, path, str(error), getattr(error, "hint", None))

    def _misfit(self, value: str) -> str | None:
        if not value and not self.empty:
            return "empty text"
        if len(value) > self.longest:
            return f"longer than {self.longest} characters"
        if not (value.translate(_LINES) if self.lines else value).isprintable():
            return f"{value[:40]!r} has control characters"
        if self.pattern and not re.fullmatch(self.pattern, value):
            return f"{value[:_LONGEST_KEY]!r} is not {self.expected}"
        return None

    def _refuse(self, reading: Reading, path: str, what: str, hint: str | None = None) -> T:
        expected = f"{self.expected}, like {self.example}" if self.example else self.expected
        return reading.wrong(path, what, expected=expected, hint=hint or self.hint)

    def schema(self) -> dict[str, Any]:
        """Describe the text; a number is text here too, since ``1.18`` needs no quotes."""
        found: dict[str, Any] = {"type": ["string", "number"]}
        if not self.empty:
            found["minLength"] = 1
        found["maxLength"] = self.longest
        if self.pattern:
            found["pattern"] = f"^(?:{self.pattern})$"
        if self.example:
            found["examples"] = [self.example]
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """Read a whole number within bounds."""

    least: int = 0
    most: int = 2**31 - 1
    hint: str | None = None

    def read(self, value: Any, path: str, reading: Reading) -> int:
        """Read a number; see :class:`Shape`."""
        if isinstance(value, int) and not isinstance(value, bool):
            if self.least <= value <= self.most:
                return value
            what = f"{value} is out of range"
        else:
            what = f"{kind(value)} is not a number"
        bounds = f"a whole number from {self.least} to {self.most}"
        if self.least == self.most:
            bounds = str(self.least)
        return reading.wrong(path, what, expected=bounds, hint=self.hint)

    def schema(self) -> dict[str, Any]:
        """Describe the number."""
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


@dataclass(frozen=True, slots=True)
class Flag:
    """Read true or false."""

    def read(self, value: Any, path: str, reading: Reading) -> bool:
        """Read a flag; see :class:`Shape`."""
        if isinstance(value, bool):
            return value
        return reading.wrong(path, f"{_show(value)} is not allowed here", expected="true or false")

    def schema(self) -> dict[str, Any]:
        """Describe the flag."""
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Choice:
    """Read one of a few words."""

    words: tuple[str, ...]

    def read(self, value: Any, path: str, reading: Reading) -> str:
        """Read a word; see :class:`Shape`."""
        if isinstance(value, str) and value in self.words:
            return value
        return reading.wrong(
            path,
            f"{_show(value)} is not one of the choices",
            expected=" or ".join(self.words),
            hint=None if reading.full else did_you_mean(value, self.words),
        )

    def schema(self) -> dict[str, Any]:
        """Describe the choice."""
        return {"enum": list(self.words)}


@dataclass(frozen=True)
class ListOf(Generic[T]):
    """Read a list; with ``lone`` a single value stands for a list of one."""

    item: Shape[T]
    least: int = 0
    most: int = 100_000
    lone: bool = False
    partial: bool = False
    """Give what could be read, with :data:`WRONG` in the gaps, so that rules see the rest."""

    def read(self, value: Any, path: str, reading: Reading) -> tuple[T, ...]:
        """Read a list; see :class:`Shape`."""
        if self.lone and value is not None and not isinstance(value, list):
            return self._whole([self.item.read(value, path, reading)])
        if not isinstance(value, list):
            return reading.wrong(path, f"{kind(value)} is not a list", expected="a list")
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

    def schema(self) -> dict[str, Any]:
        """Describe the list."""
        item = self.item.schema()
        many: dict[str, Any] = {"type": "array", "items": item, "maxItems": self.most}
        if self.least:
            many["minItems"] = self.least
        return {"anyOf": [item, many]} if self.lone else many


@dataclass(frozen=True)
class MapOf(Generic[T]):
    """Read a mapping with free keys."""

    item: Shape[T]
    key: str = r".+"
    """The pattern of its keys."""

    def read(self, value: Any, path: str, reading: Reading) -> dict[str, T]:
        """Read a mapping; see :class:`Shape`."""
        if not isinstance(value, dict):
            return reading.wrong(path, f"{kind(value)} is not a mapping", expected="a mapping")
        found: dict[str, T] = {}
        good = True
        for key, item in value.items():
            if not re.fullmatch(self.key, key):
                reading.wrong(child(path, key), f"the key {key[:80]!r} is not allowed here")
                good = False
                continue
            read = self.item.read(item, child(path, key), reading)
            good = good and read is not WRONG
            found[key] = read
        return found if good else WRONG

    def schema(self) -> dict[str, Any]:
        """Describe the mapping."""
        return {
            "type": "object",
            "patternProperties": {f"^(?:{self.key})$": self.item.schema()},
            "additionalProperties": False,
        }


@dataclass(frozen=True, slots=True)
class Anything:
    """Take a plain value as it is."""

    def read(self, value: Any, path: str, reading: Reading) -> Any:  # noqa: ARG002 -- the protocol's arguments
        """Give the value back."""
        return value

    def schema(self) -> dict[str, Any]:
        """Describe nothing."""
        return {}


@dataclass(frozen=True)
class Field(Generic[T]):
    """Describe one key of a record."""

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
        found = self.shape.schema() if self.required else _nullable(self.shape.schema())
        words = {"title": self.title, "description": self.doc, "examples": list(self.examples)}
        return {**found, **{key: text for key, text in words.items() if text}}


class Record(Generic[T]):
    """Read a mapping with known keys into a value."""

    def __init__(
        self,
        build: Callable[..., T],
        fields: Mapping[str, Field[Any]],
        *,
        doc: str = "",
        title: str = "a mapping",
        partial: bool = False,
    ) -> None:
        self.build = build
        self.fields = dict(fields)
        self.doc = doc
        self.title = title
        self.partial = partial
        """Build it with :data:`WRONG` in the gaps, so that rules see the rest."""

    def read(self, value: Any, path: str, reading: Reading) -> T:
        """Read a mapping; unknown keys, missing keys and wrong values are all written down."""
        if not isinstance(value, dict):
            expected = f"{self.title} with {', '.join(self.fields)}"
            return reading.wrong(path, f"{kind(value)} is not a mapping", expected=expected)
        good = True
        for key in value:
            if key not in self.fields:
                good = False
                if reading.full:  # a million unknown keys would take minutes to compare
                    break
                reading.wrong(
                    child(path, key),
                    "unknown key",
                    expected=f"one of {', '.join(self.fields)}",
                    hint=did_you_mean(key, self.fields),
                )
        arguments: dict[str, Any] = {}
        for key, entry in self.fields.items():
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

    def schema(self) -> dict[str, Any]:
        """Describe the record."""
        properties = {key: entry.schema() for key, entry in self.fields.items()}
        found: dict[str, Any] = {"type": "object", "properties": properties}
        if self.doc:
            found = {"description": self.doc, **found}
        required = [key for key, entry in self.fields.items() if entry.required]
        if required:
            found["required"] = required
        return {**found, "additionalProperties": False}


@dataclass(frozen=True)
class TextOr(Generic[T]):
    """Read a mapping, or a short text that stands for one."""

    short: Shape[T]
    long: Shape[T]

    def read(self, value: Any, path: str, reading: Reading) -> T:
        """Read either form; see :class:`Shape`."""
        shape = self.long if isinstance(value, dict) else self.short
        return shape.read(value, path, reading)

    def schema(self) -> dict[str, Any]:
        """Describe both forms."""
        return {"anyOf": [self.short.schema(), self.long.schema()]}


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


def _show(value: Any) -> str:
    return repr(value[:40]) if isinstance(value, str) else kind(value)

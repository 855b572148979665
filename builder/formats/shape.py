"""Shapes of single values; lists, mappings and records are in :mod:`builder.formats.records`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from builder.errors import did_you_mean
from builder.formats.reading import kind
from builder.redact import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from builder.formats.reading import Reading

# Generic shapes have no slots: Text[str]() writes its parameter onto the instance.
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
SHOWN = 80
"""Characters of a text that an error repeats."""
_LINES = {ord(space): " " for space in "\n\t"}


class Shape(Protocol[T_co]):
    """Read one kind of value, and describe it."""

    def read(self, value: Any, path: str, reading: Reading) -> T_co:
        """Turn a plain value into a typed one, or write the fault down and return WRONG."""
        ...

    def write(self, value: Any) -> Any:
        """Turn a typed value into a plain one that reads as it."""
        ...

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema (draft 2020-12) of this shape."""
        ...


@dataclass(frozen=True, kw_only=True)
class Text(Generic[T]):
    """Read text, whole numbers included, and hand it to ``parse`` where there is one."""

    parse: Callable[[str], T] | None = None
    """Turns the text into a value; raises ValueError with a whole sentence."""
    form: Callable[[T], str] = str
    """Turns the value into its text again."""
    pattern: str | None = None
    expected: str = "text"
    example: str | None = None
    longest: int = 4096
    hint: str | None = None
    advice: Callable[[str], str | None] = lambda _: None
    """Returns a hint for a text that does not fit the pattern."""
    empty: bool = False
    """Whether empty text is allowed."""
    lines: bool = False
    """Whether line breaks and tabs are allowed."""

    def read(self, value: Any, path: str, reading: Reading) -> T:
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str):
            quote = f'write "{str(value).lower()}", in quotes' if isinstance(value, bool) else None
            return self._refuse(reading, path, f"{kind(value)} is not allowed here", quote)
        what = self._misfit(value)
        if what:
            return self._refuse(reading, path, what, self.advice(value))
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
            return f"{quoted(value, 40)} has control characters"
        if self.pattern and not re.fullmatch(self.pattern, value):
            return f"{quoted(value, SHOWN)} is not {self.expected}"
        return None

    def _refuse(self, reading: Reading, path: str, what: str, hint: str | None = None) -> T:
        expected = f"{self.expected}, like {self.example}" if self.example else self.expected
        return reading.wrong(path, what, expected=expected, hint=hint or self.hint)

    def write(self, value: T) -> str:
        return self.form(value)

    def schema(self) -> dict[str, Any]:
        """Describe the text; a number is text here too, since ``1.18`` needs no quotes."""
        schema: dict[str, Any] = {"type": ["string", "number"]}
        if not self.empty:
            schema["minLength"] = 1
        schema["maxLength"] = self.longest
        if self.pattern:
            schema["pattern"] = f"^(?:{self.pattern})$"
        if self.example:
            schema["examples"] = [self.example]
        return schema


class Plain:
    """A shape whose values are plain already."""

    __slots__ = ()

    def write(self, value: Any) -> Any:
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Number(Plain):
    least: int = 0
    most: int = 2**31 - 1
    hint: str | None = None

    def read(self, value: Any, path: str, reading: Reading) -> int:
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
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


@dataclass(frozen=True, slots=True)
class Flag(Plain):
    def read(self, value: Any, path: str, reading: Reading) -> bool:
        if isinstance(value, bool):
            return value
        return reading.wrong(path, f"{_show(value)} is not allowed here", expected="true or false")

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class OneOf(Plain):
    words: tuple[str, ...]
    called: Mapping[str, str] = field(default_factory=dict, hash=False)
    """What others call a word, in lower case; the hint then names ours."""

    def read(self, value: Any, path: str, reading: Reading) -> str:
        if isinstance(value, str) and value in self.words:
            return value
        meant = self.called.get(str(value).lower()) if isinstance(value, str | int) else None
        hint = f"write {meant}" if meant else None
        if hint is None and not reading.full:
            hint = did_you_mean(value, self.words)
        return reading.wrong(
            path,
            f"{_show(value)} is not one of the choices",
            expected=" or ".join(self.words),
            hint=hint,
        )

    def schema(self) -> dict[str, Any]:
        return {"enum": list(self.words)}


@dataclass(frozen=True, slots=True)
class Anything(Plain):
    def read(self, value: Any, path: str, reading: Reading) -> Any:  # noqa: ARG002 -- the protocol's arguments
        return value

    def schema(self) -> dict[str, Any]:
        return {}


def _show(value: Any) -> str:
    return repr(value[:40]) if isinstance(value, str) else kind(value)

"""What is read of one document: its values, faults and remarks, each with its path and line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from builder.errors import DocumentError, Fault, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


class _Wrong:
    """Stands for a value that could not be read; its fault is written down already.

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
_LONGEST_PATH = 400
_MOST_FAULTS = 1000


T = TypeVar("T")


class MisfitError(ValueError):
    """Refuse a text with advice of its own; what a ``parse`` of :class:`Text` may raise."""

    def __init__(self, what: str, *, hint: str | None = None) -> None:
        super().__init__(what)
        self.hint = hint


def option(name: str, parse: Callable[[str], T], text: str, *, expected: str) -> T:
    """Read what stands behind an option as a document's text is read; raise UsageError."""
    try:
        return parse(text)
    except MisfitError as error:
        raise UsageError(str(error), where=name, expected=expected, hint=error.hint) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    value: Any
    lines: dict[str, int] = field(default_factory=dict)


def refusal(
    name: str, what: str, *, where: str = "", expected: str | None = None, hint: str | None = None
) -> DocumentError:
    return DocumentError(name, [Fault(where=where, what=what, expected=expected, hint=hint)])


def check_format(
    value: Any, wanted: int, name: str, what: str, *, again: str | None = None
) -> None:
    """Raise DocumentError for a document of another format, before its fields are looked at.

    ``again`` is what helps where it is not of a newer airseed.
    """
    found = value.get("format", wanted) if isinstance(value, dict) else wanted
    if found != wanted:
        newer = isinstance(found, int) and found > wanted
        raise refusal(
            name,
            f"{what} has format {str(found)[:20]}",
            where="format",
            expected=f"format {wanted}",
            hint="use the airseed that wrote it, or a newer one" if newer else again,
        )


@dataclass(slots=True)
class Reading:
    document: str
    lines: Mapping[str, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    remarks: list[Fault] = field(default_factory=list)
    """What is allowed but deserves a warning."""
    elsewhere: Callable[[str], str | None] = lambda _: None
    """Returns a hint for a key that stands in the wrong place."""

    def wrong(
        self, path: str, what: str, *, expected: str | None = None, hint: str | None = None
    ) -> Any:
        """Write a fault down; return :data:`WRONG`, for the caller to return."""
        fault = Fault(where=self._line(path), what=what, expected=expected, hint=hint)
        if len(self.faults) == _MOST_FAULTS:
            fault = Fault(where="", what="there are more; fix these first")
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
        where = self._line(path)
        self.remarks.append(Fault(where=where, what=what, expected=expected, hint=hint))

    def _line(self, path: str) -> str:
        """Return the path with its line, as ``nodes[2].address (line 14)``."""
        line = self.lines.get(path)
        return f"{path or 'document'} (line {line})" if line else path

    def finish(self) -> None:
        """Raise DocumentError with every fault, if there was one."""
        if self.faults:
            raise DocumentError(self.document, self.faults)


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
    """Return the path of a key below a path; what is not fit to print is quoted and cut."""
    if len(key) > _LONGEST_KEY or not key.isprintable():
        key = ascii(key[:_LONGEST_KEY])
    path = f"{path}.{key}" if path else key
    return path if len(path) <= _LONGEST_PATH else f"{path[:_LONGEST_PATH]}..."

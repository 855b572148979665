"""What long work tells its caller: words, warnings, and how far it has come.

Library code gets a :class:`Reporter` and never prints. ``cli`` draws bars or plain lines;
tests use :class:`Silent`, or a recorder of their own.
"""

from __future__ import annotations

from typing import Protocol, Self


class Progress(Protocol):
    """Follow one long piece of work; every method may be called from any thread."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None: ...

    def advance(self, amount: int, *, cached: bool = False) -> None:
        """Add bytes or steps that are done; ``cached`` when they were here already.

        A negative amount takes back what has to be done again.
        """
        ...

    def describe(self, text: str) -> None: ...


class Reporter(Protocol):
    def info(self, text: str) -> None: ...

    def warn(self, text: str, *, hint: str | None = None) -> None: ...

    def progress(self, title: str, total: int | None, *, unit: str = "B") -> Progress:
        """Begin a piece of work of ``total`` bytes (``unit`` "B") or steps."""
        ...


class _NoProgress:
    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def advance(self, amount: int, *, cached: bool = False) -> None: ...

    def describe(self, text: str) -> None: ...


class Silent:
    def info(self, text: str) -> None: ...

    def warn(self, text: str, *, hint: str | None = None) -> None: ...

    def progress(self, title: str, total: int | None, *, unit: str = "B") -> Progress:  # noqa: ARG002 -- the protocol's names
        return _NoProgress()

"""How loud and how colorful airseed speaks, and to whom.

Results go to standard output, everything else to standard error. Rich is imported when a live
progress is drawn, not before.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Literal

import click

from builder.redact import hide
from builder.report import Silent

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from builder.cli.progress import Screen
    from builder.report import Progress


class Console:
    """Be the :class:`builder.report.Reporter` of the command line."""

    def __init__(self) -> None:
        self.verbose = False
        self.quiet = False
        self.color: Literal["auto", "always", "never"] = "auto"
        self.wants_json = False
        """Whether standard output is for a script: an error is a document there, too."""
        self.answered = False
        """Whether a JSON document was printed; there is never a second one."""
        self._screen: Screen | None = None

    @property
    def colored(self) -> bool | None:
        """Return whether to color; None leaves it to click, which asks whether it is a terminal."""
        if self.color != "auto":
            return self.color == "always"
        return False if os.environ.get("NO_COLOR") else None

    def info(self, text: str) -> None:
        if not self.quiet:
            self._line(text)

    def detail(self, text: str) -> None:
        """Report something that only matters to who asked for ``--verbose``."""
        if self.verbose and not self.quiet:
            self._line(text, dim=True)

    def warn(self, text: str, *, hint: str | None = None) -> None:
        self._line(text, "warning:", "yellow")
        if hint:
            self._line(f"  hint: {hint}")

    def error(self, text: str, *, hint: str | None = None) -> None:
        self._line(text, "error:", "red")
        if hint:
            self._line(f"  hint: {hint}")

    def note(self, text: str) -> None:
        """Add a line to an error, whatever ``--quiet`` says."""
        self._line(text)

    def result(self, text: str) -> None:
        """Print what was asked for, to standard output."""
        self._print(printable(text))

    def json(self, value: Any) -> None:
        import json

        self.answered = True
        self._print(json.dumps(value, indent=2))

    def styled(self, text: str, color: str) -> None:
        self._print(click.style(printable(text), fg=color))

    def prose(self, text: str) -> None:
        """Print sentences as a result, in lines that fit."""
        from builder.cli import table

        self.result(table.prose(text, table.width()))

    def table(
        self,
        head: Sequence[str],
        rows: Iterable[Sequence[str]],
        colors: Mapping[str, str] | None = None,
    ) -> None:
        """Print a table that fits; a cell that is one of the words in ``colors`` is colored so."""
        from builder.cli import table

        # a cell is one line: what a program said may have several
        shown = [[" ".join(printable(cell).split()) for cell in row] for row in rows]
        for line in table.table(head, shown, table.width(), colors):
            self._print(line)

    def progress(self, title: str, total: int | None, *, unit: str = "B") -> Progress:
        """Begin a piece of work: a live bar on a terminal, else a plain line now and then."""
        from builder.cli.progress import Bar, Lines, Screen

        if self.quiet:
            return Silent().progress(title, total, unit=unit)
        if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
            return Lines(title, total, unit=unit, report=self.info)
        if self._screen is None:
            self._screen = Screen(colored=self.colored is not False)
        return Bar(title, total, unit=unit, screen=self._screen, report=self.info)

    def _print(self, text: str, *, error: bool = False) -> None:
        try:
            click.echo(text, err=error, color=self.colored)
        except OSError as reason:
            # the reader (head) has seen enough; the work and its exit code stay what they are
            if not (error or isinstance(reason, BrokenPipeError)):
                raise
            silence(2 if error else 1)

    def _line(self, text: str, mark: str = "", mark_color: str = "", *, dim: bool = False) -> None:
        text = printable(hide(text))
        text = click.style(text, dim=dim) if dim else text
        if mark:
            text = f"{click.style(mark, fg=mark_color, bold=True)} {text}"
        # a line that click writes itself would land behind what the bars have drawn
        if self._screen is None or not self._screen.write(text):
            self._print(text, error=True)


def silence(descriptor: int) -> None:
    """Let standard output or standard error lead nowhere."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere != descriptor:
        os.dup2(nowhere, descriptor)
        os.close(nowhere)


def printable(text: str) -> str:
    """Make control characters visible: words of a server must not steer the terminal."""
    return "".join(
        letter if letter in "\n\t" or letter.isprintable() else ascii(letter)[1:-1]
        for letter in text
    )

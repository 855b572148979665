"""Progress as a live bar on a terminal, and as a plain line now and then elsewhere."""

from __future__ import annotations

import time
from threading import Lock
from typing import TYPE_CHECKING, Self

from builder.cli.meter import Meter

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import TaskID

_EVERY = 5.0
"""Seconds between two plain lines."""


class Lines:
    def __init__(
        self,
        title: str,
        total: int | None,
        *,
        unit: str,
        report: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._title = title
        self._meter = Meter(total, unit, clock=clock)
        self._report = report
        self._clock = clock
        self._next = clock() + _EVERY
        self._doing = ""
        self._lock = Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        text = self._meter.summary if error is None else f"stopped at {self._meter.standing}"
        self._report(f"{self._title}: {text}")

    def advance(self, amount: int, *, cached: bool = False) -> None:
        self._meter.advance(amount, cached=cached)
        with self._lock:
            now = self._clock()
            if now < self._next:
                return
            self._next = now + _EVERY
        doing = f", {self._doing}" if self._doing else ""
        self._report(f"{self._title}: {self._meter.standing}{doing}")

    def describe(self, text: str) -> None:
        """Keep it for the next line: what is done right now changes too often for a log."""
        self._doing = text


class Screen:
    """Share one live display between all bars; it exists while one of them is open."""

    def __init__(self, *, colored: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._rich = Progress(
            TextColumn("{task.fields[title]}", markup=False),
            BarColumn(bar_width=28),
            TextColumn("{task.fields[standing]}", markup=False),
            TextColumn("{task.description}", markup=False, style="dim"),
            console=Console(stderr=True, no_color=not colored, highlight=False, markup=False),
            transient=True,
            redirect_stdout=False,  # what is written meanwhile goes through ``write``
            redirect_stderr=False,
            refresh_per_second=8,
        )
        self.update = self._rich.update
        self._open = 0
        self._lock = Lock()

    def add(self, title: str, total: int | None) -> TaskID:
        with self._lock:
            task = self._rich.add_task("", total=total, title=title, standing="")
            self._open += 1
            if self._open == 1:
                self._rich.start()
            return task

    def write(self, line: str) -> bool:
        """Write a line above the bars; tell whether there are any."""
        from rich.text import Text

        with self._lock:
            if self._open:
                self._rich.console.print(Text.from_ansi(line), soft_wrap=True)
            return self._open > 0

    def remove(self, task: TaskID) -> None:
        with self._lock:
            self._rich.remove_task(task)
            self._open -= 1
            if self._open == 0:
                self._rich.stop()


class Bar(Lines):
    """Show one live bar, and leave one line behind when it is done."""

    def __init__(
        self,
        title: str,
        total: int | None,
        *,
        unit: str,
        screen: Screen,
        report: Callable[[str], None],
    ) -> None:
        super().__init__(title, total, unit=unit, report=report)
        self._screen = screen
        self._task = screen.add(title, total)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._screen.remove(self._task)
        super().__exit__(kind, error, trace)

    def advance(self, amount: int, *, cached: bool = False) -> None:
        self._meter.advance(amount, cached=cached)
        self._screen.update(self._task, completed=self._meter.done, standing=self._meter.standing)

    def describe(self, text: str) -> None:
        self._screen.update(self._task, description=text, standing=self._meter.standing)

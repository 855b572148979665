"""Hold everything that this process writes inside one folder, and tell of what was tried outside.

Python's audit events name each path that is opened for writing, made, moved or removed; what C
libraries write by themselves is found by looking at the folder's surroundings afterwards.
"""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_PATHS = {
    "os.chmod": ((0, 2),),
    "os.chown": ((0, 3),),
    "os.link": ((0, 2), (1, 3)),
    "os.mkdir": ((0, 2),),
    "os.remove": ((0, 1),),
    "os.rename": ((0, 2), (1, 3)),
    "os.rmdir": ((0, 1),),
    "os.symlink": ((1, 2),),
    "os.truncate": ((0, None),),
    "os.utime": ((0, 3),),
}
"""Events that change files: which arguments are paths, and which the folder they begin at."""
_FREE = ("/dev/null", "/proc/self/")


class OutsideError(Exception):
    """Say that something was to be written outside; no code of ours expects it."""


class _Watch:
    """One hook for the whole process, since Python can't take one away again."""

    def __init__(self) -> None:
        self.inside: str | None = None
        self.tried: list[str] = []
        self.hooked = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.inside is None:
            return
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & _WRITING:
                self.check(event, path)
        for place, home in _PATHS.get(event, ()):
            self.check(event, arguments[place], -1 if home is None else arguments[home])

    def check(self, event: str, path: Any, home: int = -1) -> None:
        if not isinstance(path, (str, bytes, os.PathLike)):
            return  # a descriptor: opening it was judged
        start = "" if home < 0 else f"/proc/self/fd/{home}"
        found = os.path.realpath(os.path.join(start, os.fsdecode(path)))  # noqa: PTH118 -- text, fast
        if found.startswith(_FREE) or f"{found}/".startswith(f"{self.inside}/"):
            return
        self.tried.append(f"{event} {found}")
        raise OutsideError(self.tried[-1])


_WATCH = _Watch()


@contextmanager
def confined(folder: Path) -> Iterator[Path]:
    """Return a folder beside which nothing may be written; fail when something was."""
    inside = folder / "inside"
    inside.mkdir()
    scratch = inside / "scratch"
    scratch.mkdir()
    canary = folder / "canary"
    canary.write_text("untouched")
    if not _WATCH.hooked:
        sys.addaudithook(_WATCH)
        _WATCH.hooked = True
    before, tempfile.tempdir = tempfile.tempdir, str(scratch)
    _WATCH.tried.clear()
    _WATCH.inside = os.path.realpath(inside)
    try:
        yield inside
    finally:
        _WATCH.inside, tempfile.tempdir = None, before
    assert _WATCH.tried == []
    assert {path.name for path in folder.iterdir()} == {"inside", "canary"}
    assert canary.read_text() == "untouched"

"""``status``: read the results or consoles of many nodes into one view."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.errors import DocumentError
from builder.formats import result as result_format
from builder.formats.text import read_content

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from builder.errors import Fault
    from builder.model.result import Result

_ORDER = {"failed": 0, "waiting": 1, "running": 2, "done": 3}


def read(files: Sequence[Path]) -> tuple[Result, ...]:
    """Read files of any mix, and give what wants attention first.

    A console that does not say its node's name is called after its file, or after its folder where
    the file is a ``result.json`` or ``console.log`` like all the others. Raise DocumentError with
    all files that are neither result nor console.
    """
    found = []
    faults: list[Fault] = []
    for path in files:
        try:
            content = read_content(path, largest=result_format.LARGEST)
            found.append(result_format.read(content, str(path), node=_node(path)))
        except DocumentError as error:
            faults += [_placed(fault, path) for fault in error.faults]
    if faults:
        raise DocumentError("results", faults)
    return tuple(sorted(found, key=lambda one: (_ORDER[one.state], one.node)))


def _node(path: Path) -> str:
    generic = path.stem in {"result", "console", "journal", "serial"}
    return (path.resolve().parent.name if generic else path.stem) or path.name


def _placed(fault: Fault, path: Path) -> Fault:
    from dataclasses import replace  # noqa: PLC0415 -- only for what went wrong

    where = f"{path}: {fault.where}" if fault.where else str(path)
    return replace(fault, where=where)

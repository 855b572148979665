"""``status``: read the results or consoles of many nodes into one view."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from builder.errors import DocumentError
from builder.formats import result as result_format
from builder.formats.text import read_content
from builder.model.result import Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from builder.errors import Fault


def read(files: Sequence[Path]) -> tuple[list[Result], list[Fault]]:
    """Return a result a file, what wants attention first, and why some are unknown.

    Files may be of any mix; one that is neither result nor console hides no other.

    A console that does not say its node's name is called after its file, or after its folder where
    the file is a ``result.json`` or ``console.log`` like all the others.
    """
    results: list[Result] = []
    faults: list[Fault] = []
    for path in files:
        try:
            content = read_content(path, largest=result_format.LARGEST)
            results.append(result_format.read(content, str(path), node=_node(path)))
        except DocumentError as error:
            faults += [_placed(fault, path) for fault in error.faults]
            message = str(error.faults[0]) if len(error.faults) == 1 else error.fault.what
            results.append(Result(node=_node(path), state="unknown", message=message))
    results.sort(key=lambda result: result.urgency)
    return results, faults


def _node(path: Path) -> str:
    generic = path.stem in {"result", "console", "journal", "serial"}
    return (Path(os.path.realpath(path)).parent.name if generic else path.stem) or path.name


def _placed(fault: Fault, path: Path) -> Fault:
    where = f"{path}: {fault.where}" if fault.where else str(path)
    return replace(fault, where=where)

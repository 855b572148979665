"""Count what Python does instead of timing it: a loaded machine gives the same number."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

_MORE = 1.4
"""How much more than twice the steps twice the work may take: dictionaries grow in leaps."""


def count(work: Callable[[], object]) -> int:
    """Return how many instructions of Python a call runs, in this thread."""
    steps = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal steps
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        steps += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return steps


def is_linear(work: Callable[[int], Callable[[], object]], size: int) -> bool:
    """Tell whether the work for twice as many things takes about twice the steps."""
    work(size)()  # what is made once only does not count
    once, twice = count(work(size)), count(work(2 * size))
    return twice <= _MORE * 2 * once

"""Do the same for many items in threads, and stop them all at once."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Future

_PATIENCE = 3.0
"""Seconds that Ctrl-C waits for threads that may hang in what nobody can end."""
_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")


def each(
    items: Iterable[_Item],
    work: Callable[[_Item], _Answer],
    *,
    most: int,
    cancel: Callable[[], object] | None = None,
) -> list[_Answer]:
    """Return the answers in the items' order, worked out by at most so many threads.

    The first error wins, Ctrl-C included; ``cancel`` is called then, to end what is under way,
    since it is waited for. The rest is not begun.
    """
    from concurrent.futures import Future as Answer  # noqa: PLC0415 -- slow to load

    futures: list[Future[_Answer]] = []
    waiting: deque[tuple[_Item, Future[_Answer]]] = deque()
    for item in items:
        futures.append(Answer())
        waiting.append((item, futures[-1]))
    threads = [
        # daemons, unlike those of an executor: the interpreter's end must not wait for them
        threading.Thread(target=_run, args=(waiting, work), daemon=True)
        for _ in range(min(most, len(futures)))
    ]
    try:
        for thread in threads:
            thread.start()
        return [future.result() for future in futures]
    except BaseException as error:
        waiting.clear()
        if cancel is not None:
            cancel()
        end = time.monotonic() + _PATIENCE if isinstance(error, KeyboardInterrupt) else None
        for thread in threads:
            if thread.ident is not None:
                thread.join(None if end is None else max(0.0, end - time.monotonic()))
        raise


def _run(waiting: deque[tuple[_Item, Future[_Answer]]], work: Callable[[_Item], _Answer]) -> None:
    while True:
        try:
            item, future = waiting.popleft()
        except IndexError:
            return
        try:
            future.set_result(work(item))
        except BaseException as error:  # noqa: BLE001 -- handed to the thread that waits
            future.set_exception(error)

"""Do the same for many items in threads, and stop them all at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

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
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 -- slow to load

    with ThreadPoolExecutor(most) as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            return [future.result() for future in futures]
        except BaseException:
            if cancel is not None:
                cancel()
            pool.shutdown(cancel_futures=True)
            raise

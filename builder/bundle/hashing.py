"""Hash many members at once, in threads: hashlib lets go of the interpreter while it works."""

from __future__ import annotations

import hashlib
import itertools
import os
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from builder import threads
from builder.errors import Fault, VerificationError, reason
from builder.model.digest import Digest

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Iterable, Sequence

    from builder.report import Progress

    Inspect = Callable[[str, io.BufferedReader], None]

_BUFFER = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    path: str
    size: int
    digest: Digest
    open: Callable[[], io.BufferedReader]
    """Open its bytes; raise OSError."""


def hash_all(
    items: Iterable[Item],
    progress: Progress,
    *,
    workers: int | None = None,
    inspect: Inspect | None = None,
) -> list[Fault]:
    """Compare all digests, largest member first; return what is wrong.

    ``inspect`` is called with path and content of each member that is right, from the threads;
    the VerificationErrors that it raises become faults. Memory is one buffer a thread.
    """
    stopped = threading.Event()

    def verify(item: Item) -> list[Fault]:
        return _verify(item, progress, inspect, stopped)

    largest_first = sorted(items, key=lambda item: -item.size)
    most = workers or len(os.sched_getaffinity(0))
    faults = threads.each(largest_first, verify, most=most, cancel=stopped.set)
    return sorted(itertools.chain.from_iterable(faults))


def digest_all(
    regions: Sequence[tuple[int, Callable[[], io.BufferedReader]]], progress: Progress
) -> list[Digest]:
    """Return the digest of each region (its size, and what opens it), in order, in threads.

    Raise OSError.
    """
    stopped = threading.Event()

    def digest(region: tuple[int, Callable[[], io.BufferedReader]]) -> Digest:
        size, opening = region
        with opening() as file:
            return _digest(file, size, progress, stopped)[0]

    return threads.each(regions, digest, most=len(os.sched_getaffinity(0)), cancel=stopped.set)


def _digest(
    file: io.BufferedReader, size: int, progress: Progress, stopped: threading.Event
) -> tuple[Digest, int]:
    """Hash the next ``size`` bytes of a file; return how many of them are missing, too."""
    hasher, left = hashlib.sha256(), size
    view = memoryview(bytearray(min(_BUFFER, size)))
    while not stopped.is_set() and (count := file.raw.readinto(view[:left])):
        hasher.update(view[:count])
        left -= count
        progress.advance(count)
    return Digest(hasher.hexdigest()), left


def _verify(
    item: Item, progress: Progress, inspect: Inspect | None, stopped: threading.Event
) -> list[Fault]:
    try:
        with item.open() as file:
            digest, left = _digest(file, item.size, progress, stopped)
            if stopped.is_set():
                return []
            if left:
                return [Fault(where=item.path, what=f"the last {left:,} bytes are missing")]
            if digest != item.digest:
                what = f"has the digest {digest}"
                return [Fault(where=item.path, what=what, expected=str(item.digest))]
            if inspect is not None:
                file.seek(0)
                inspect(item.path, file)
    except OSError as error:
        return [Fault(where=item.path, what=f"cannot be read: {reason(error)}")]
    except VerificationError as error:
        return list(error.faults) or [_named(item.path, error.fault)]
    return []


def _named(path: str, fault: Fault) -> Fault:
    """Put the member's path before a fault that does not name it."""
    return fault if path in fault.where else replace(fault, where=path)

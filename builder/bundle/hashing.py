"""Hash many members at once, in threads: hashlib lets go of the interpreter while it works."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder import threads
from builder.errors import Fault, VerificationError
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
    """Compare all digests, largest member first; give what is wrong.

    ``inspect`` is called with path and content of each member that is right, from the threads;
    the VerificationErrors that it raises become faults. Memory is one buffer a thread.
    """
    queue = deque(sorted(items, key=lambda item: -item.size))
    work = _Work(queue, progress, inspect)
    count = min(workers or len(os.sched_getaffinity(0)), max(1, len(queue)))
    # Events, because before Python 3.13 an interrupted join takes a thread for ended that is not
    ends = [threading.Event() for _ in range(count)]
    started = []
    try:
        for end in ends:
            threading.Thread(target=work.run, args=(end,), daemon=True).start()
            started.append(end)
        for end in ends:
            end.wait()
    finally:
        work.stopped = True
        for end in started:
            end.wait()
    if work.failure is not None:
        raise work.failure
    return sorted(work.faults)


def digest_all(
    regions: Sequence[tuple[int, Callable[[], io.BufferedReader]]], progress: Progress
) -> list[Digest]:
    """Return the digest of each region (its size, and what opens it), in order, in threads.

    Raise OSError.
    """
    stopped = threading.Event()

    def digest(region: tuple[int, Callable[[], io.BufferedReader]]) -> Digest:
        hasher, view = hashlib.sha256(), memoryview(bytearray(_BUFFER))
        with region[1]() as file:
            while not stopped.is_set() and (count := file.raw.readinto(view)):
                hasher.update(view[:count])
                progress.advance(count)
        return Digest(hasher.hexdigest())

    return threads.each(regions, digest, most=len(os.sched_getaffinity(0)), cancel=stopped.set)


class _Work:
    def __init__(self, queue: deque[Item], progress: Progress, inspect: Inspect | None) -> None:
        self.queue = queue
        self.faults: list[Fault] = []
        self.failure: BaseException | None = None
        self.stopped = False
        self._progress = progress
        self._inspect = inspect

    def run(self, end: threading.Event) -> None:
        view = memoryview(bytearray(_BUFFER))
        try:
            while not self.stopped:
                try:
                    item = self.queue.popleft()
                except IndexError:
                    return
                self.faults += self._verify(item, view)
        except BaseException as error:  # noqa: BLE001 -- handed to the thread that waits
            self.failure = self.failure or error
            self.stopped = True
        finally:
            end.set()

    def _verify(self, item: Item, view: memoryview) -> list[Fault]:
        hasher = hashlib.sha256()
        left = item.size
        try:
            with item.open() as file:
                while left and not self.stopped:
                    count = file.raw.readinto(view[: min(len(view), left)]) or 0
                    if count == 0:
                        break
                    hasher.update(view[:count])
                    left -= count
                    self._progress.advance(count)
                if self.stopped:
                    return []
                if left:
                    return [Fault(where=item.path, what=f"the last {left:,} bytes are missing")]
                if hasher.hexdigest() != item.digest.hex:
                    return [
                        Fault(
                            where=item.path,
                            what=f"has the digest sha256:{hasher.hexdigest()}",
                            expected=str(item.digest),
                        )
                    ]
                if self._inspect is not None:
                    file.seek(0)
                    self._inspect(item.path, file)
        except OSError as error:
            return [Fault(where=item.path, what=f"cannot be read: {error.strerror or error}")]
        except VerificationError as error:
            return list(error.faults) or [_named(item.path, error.fault)]
        return []


def _named(path: str, fault: Fault) -> Fault:
    """Put the member's path before a fault that does not name it."""
    where = fault.where if path in fault.where else path
    return Fault(where=where, what=fault.what, expected=fault.expected, hint=fault.hint)

"""One artifact on its way to its place: what is there, what was tried, one attempt at a time.

Bytes are hashed from the buffer that is then written to their final place. What an earlier run
left there is read back and hashed first. A digest that comes out wrong is blamed on the source
only if all bytes came from it in one go; otherwise the artifact starts afresh.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from builder.bundle.place import PlaceError
from builder.bundle.source import Interruptible
from builder.errors import FetchError
from builder.model.digest import Digest

if TYPE_CHECKING:
    import io
    from collections.abc import Callable

    from builder.bundle.place import Place
    from builder.bundle.source import Source, State, Stream
    from builder.errors import Fault
    from builder.report import Progress

BUFFER = 1 << 20
_BEGINNING = 512
"""Bytes that are remembered to be judged: the first header of a tar."""
_LEAP = 1 << 20
"""Bytes of new ground that make an attempt count as progress."""


class Wanted(Protocol):
    """What is to be brought: an extent of a bundle, or an artifact of a lock."""

    @property
    def path(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def digest(self) -> Digest: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    wanted: Wanted
    place: Place
    sources: tuple[Source, ...]
    """In order; the next one is asked when one cannot give the right bytes."""
    check: Callable[[io.BufferedReader], object] | None = None
    """Read the finished artifact again (an RPM's signature); raise VerificationError."""
    judge: Callable[[bytes], object] | None = None
    """Look at the first bytes of an artifact that is right, where nothing is read again."""
    have: int = 0
    """Bytes that an earlier run says to have written; they are hashed before use."""
    origin: str = ""
    """Who gave those bytes, as far as they are all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    path: str
    size: int
    state: State | Literal["resumed"]
    """``resumed``: partly from an earlier run."""
    source: str | None
    """The name of the source that gave the last byte; None when nothing was fetched."""
    fetched: int
    """Bytes that were received for it, repeated ones included."""
    passed_over: tuple[Fault, ...] = ()
    """What was wrong with the sources before."""
    origin: str = ""
    """The name of the source that gave it, in this run or an earlier one; empty if unknown."""


@dataclass(slots=True)
class Attempts:
    """Count attempts at one source after the other. Times are seconds of one monotonic clock."""

    turn: int = 0
    """Which source is asked."""
    afresh: bool = False
    """Whether this source was given the chance to send everything in one go."""
    failures: int = 0
    """At this source in a row, without progress."""
    failing_since: float | None = None
    """When the first of them began."""
    wasted: float = 0.0
    """Seconds that they waited in vain."""
    ready_at: float = 0.0
    """When the next one may begin."""
    faults: list[Fault] = field(default_factory=list)
    """Of the sources before, one each."""

    def fail(self, *, started: float, now: float, fed_at: float) -> None:
        """Count a failure; ``fed_at`` is when the last byte came, in this attempt or before."""
        self.failures += 1
        self.failing_since = self.failing_since or started
        self.wasted += now - max(started, fed_at)

    def calm(self) -> None:
        """Forget the failures: the source made progress, or speaks to us."""
        self.failures = 0
        self.failing_since = None
        self.wasted = 0.0

    def pass_on(self, fault: Fault) -> None:
        """Go to the next source, at once."""
        self.faults.append(fault)
        self.turn += 1
        self.afresh = False
        self.ready_at = 0.0
        self.calm()


class Cancelled(Exception):  # noqa: N818 -- not an error
    """End an attempt because nothing more is wanted."""


class StaleError(Exception):
    """The digest is wrong, but that this source alone is not to blame."""


class Stop:
    """Two flags that all threads look at."""

    def __init__(self) -> None:
        self.wanted = False
        """Nothing more is to be begun or received."""
        self.over = False
        """The file may be closed already: what was received is not to be written either."""

    def check(self) -> None:
        """Raise Cancelled once nothing more is wanted."""
        if self.wanted:
            raise Cancelled

    def check_over(self) -> None:
        """Raise Cancelled once nobody waits for this thread."""
        if self.over:
            raise Cancelled


@dataclass(frozen=True, slots=True, kw_only=True)
class Sink:
    """What one thread brings bytes with."""

    progress: Progress
    stop: Stop
    buffer: memoryview = field(default_factory=lambda: memoryview(bytearray(BUFFER)))


class Download:
    """The bytes of one job that are there, and what is known of them. One thread works on it."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.attempts = Attempts()
        self.have = 0
        """Bytes at their place and hashed."""
        self.claimed = job.have
        """Bytes at their place by an earlier run's word, not yet hashed."""
        self.fetched = 0
        self.reached = 0
        """The farthest byte so far."""
        self.fed_at = -1.0
        """When the last byte came over the network."""
        self._stream: object = None
        """What is being read, for whoever wants to interrupt it."""
        self._mixed = False
        """Whether not all bytes come from this attempt."""
        self._hasher = hashlib.sha256()
        self._saved = (0, self._hasher.copy())
        """The hash of the bytes that the place says to have saved."""
        self.beginning = b""
        self.placing = Attempts()
        """At the place, where that is far away."""

    @property
    def source(self) -> Source:
        return self.job.sources[self.attempts.turn]

    @property
    def has_source(self) -> bool:
        return self.attempts.turn < len(self.job.sources)

    @property
    def is_local(self) -> bool:
        return self.has_source and self.source.is_ours

    @property
    def whole(self) -> bool:
        """Whether all bytes are there; their digest may still be wrong."""
        return self.have == self.job.wanted.size

    def adopt(self, sink: Sink) -> None:
        """Hash what an earlier run left; forget it when it is whole and wrong."""
        claimed, self.claimed = min(self.claimed, self.job.wanted.size), 0
        while self.have < claimed:
            sink.stop.check()
            room = min(len(sink.buffer), claimed - self.have)
            count = self.job.place.readinto(sink.buffer[:room], self.have)
            if count == 0:
                break
            self._take(sink.buffer[:count], sink.progress, cached=True)
        self._mixed = self.have > 0
        if self.whole and not self.right:
            self._restart(sink.progress)

    @property
    def right(self) -> bool:
        return self._hasher.hexdigest() == self.job.wanted.digest.hex

    def _restart(self, progress: Progress) -> None:
        self._return_to(0, hashlib.sha256(), progress)
        self._mixed = False

    def recover(self, progress: Progress) -> None:
        """Go back to what the place has after an error of it; raise FetchError."""
        saved, hasher = self._saved
        if self.job.place.recover() < saved:
            saved, hasher = 0, hashlib.sha256()
        self._return_to(saved, hasher.copy(), progress)
        self._mixed = self.have > 0

    def _return_to(self, have: int, hasher: hashlib._Hash, progress: Progress) -> None:
        if self.have != have:
            progress.advance(have - self.have)
        self.have, self._hasher = have, hasher

    def attempt(self, sink: Sink) -> None:
        """Read one stream to its end; the artifact is whole and right afterwards.

        It goes on behind the bytes that are there, but for a source that cannot resume. Raise
        FetchError, PlaceError, StaleError, StorageError or Cancelled.
        """
        offset = 0 if self.attempts.afresh else self.have
        stream = self.source.open(offset)
        try:
            self._stream = stream
            sink.stop.check()  # after it can be seen by whoever interrupts
            if stream.offset not in {0, self.have}:
                raise FetchError(
                    f"sent bytes from {stream.offset:,} onwards",
                    where=self.source.name,
                    expected=f"from {offset:,} onwards",
                )
            if stream.offset != self.have:
                self._restart(sink.progress)
            self._receive(stream, sink)
        finally:
            self._stream = None
            stream.close()
        if not self.right:
            mixed, got = self._mixed, self._hasher.hexdigest()
            self._restart(sink.progress)
            if mixed and not self.attempts.afresh:
                self.attempts.afresh = True
                raise StaleError
            raise FetchError(
                f"sent the wrong bytes ({Digest(got)})",
                where=self.source.name,
                expected=str(self.job.wanted.digest),
            )

    def interrupt(self) -> None:
        """Wake the thread that waits for this artifact's source or place, where that can be."""
        for waited_for in (self._stream, self.job.place):
            if isinstance(waited_for, Interruptible):
                waited_for.interrupt()

    def moved(self, before: int) -> bool:
        """Return whether an attempt that began at ``before`` (``reached``) gained new ground."""
        return self.reached - before >= _LEAP

    def pass_on(self, fault: Fault) -> bool:
        self.attempts.pass_on(fault)
        self.reached = self.have
        self._mixed = self.have > 0
        return self.has_source

    def broke(self) -> None:
        """Remember that the next attempt goes on with bytes of this one."""
        self._mixed = self.have > 0

    def outcome(self) -> Outcome:
        size = self.job.wanted.size
        state: State | Literal["resumed"] = "fetched"
        if self.is_local:
            state = self.source.state
        elif not self.fetched and size:
            state = "cached"
        elif self.fetched < size:
            state = "resumed"
        return Outcome(
            path=self.job.wanted.path,
            size=size,
            state=state,
            source=self.source.name if self.fetched else None,
            fetched=self.fetched,
            passed_over=tuple(self.attempts.faults),
            origin=self._origin(),
        )

    def _origin(self) -> str:
        """Name who gave the bytes; what was copied came from where that other copy came from."""
        untouched = not (self.fetched or self.is_local) and self.job.wanted.size > 0
        if untouched or not self.has_source:
            return self.job.origin
        return self.source.origin or self.source.name

    def _receive(self, stream: Stream, sink: Sink) -> None:
        size, view = self.job.wanted.size, sink.buffer
        while not self.whole:
            sink.stop.check()
            count = stream.readinto(view[: min(len(view), size - self.have)])
            if count == 0:
                raise FetchError(
                    f"sent {self.have:,} of {size:,} bytes",
                    where=self.source.name,
                    temporary=True,
                )
            piece = view[:count]
            sink.stop.check_over()
            try:
                self.job.place.write(piece, self.have)
            except FetchError as error:
                raise PlaceError(error) from error
            if not self.is_local:
                self.fetched += count
                self.fed_at = time.monotonic()
            self._take(piece, sink.progress, cached=self.is_local)
        with contextlib.suppress(FetchError):  # all is here; the end lets the connection serve on
            stream.readinto(view[:1])

    def _take(self, piece: memoryview, progress: Progress, *, cached: bool = False) -> None:
        self._hasher.update(piece)
        if self.have < _BEGINNING:
            self.beginning = self.beginning[: self.have] + bytes(piece[:_BEGINNING])
        self.have += len(piece)
        if self.job.place.saved == self.have:
            self._saved = (self.have, self._hasher.copy())
        self.reached = max(self.reached, self.have)
        progress.advance(len(piece), cached=cached)

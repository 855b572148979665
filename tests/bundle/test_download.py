"""One artifact's state, with sources that do as they are told."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from builder.bundle.download import Attempts, Cancelled, Download, Job, Sink, StaleError, Stop
from builder.bundle.layout import Extent
from builder.bundle.place import PlaceError
from builder.bundle.source import Source
from builder.errors import Fault, FetchError
from builder.model.artifact import File
from builder.model.digest import Digest
from builder.report import Silent

if TYPE_CHECKING:
    import io

CONTENT = bytes(range(256)) * 20
START = 1536


class Memory:
    """Be a place; one far away that ``fails`` where a byte of that number comes."""

    host = ""

    def __init__(self, *, fails: int = 0, step: int = 0) -> None:
        self.artifact = bytearray(len(CONTENT))
        self.saved = 0
        self._fails = fails
        self._step = step

    def write(self, view: memoryview, at: int) -> None:
        if self._fails and at + len(view) > self._fails:
            self._fails = 0
            raise FetchError("is away", where="place", temporary=True)
        self.artifact[at : at + len(view)] = view
        if self._step and (at + len(view)) % self._step == 0:
            self.saved = at + len(view)

    def recover(self) -> int:
        return self.saved

    def readinto(self, view: memoryview, at: int) -> int:
        content = self.artifact[at : at + len(view)]
        view[: len(content)] = content
        return len(content)

    def open(self) -> io.BufferedReader:
        raise NotImplementedError

    def finish(self) -> None:
        raise NotImplementedError


class Pieces:
    """Be a stream of so many bytes at a time."""

    def __init__(self, content: bytes, offset: int) -> None:
        self.offset = offset
        self.closed = False
        self._rest = content

    def readinto(self, view: memoryview, /) -> int:
        count = min(len(view), len(self._rest), 1000)
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        self.closed = True


@dataclass
class Given:
    """Be a source."""

    content: bytes = CONTENT
    resumes: bool = True
    shift: int = 0
    name: str = "given"
    asked: list[int] = field(default_factory=list)
    streams: list[Pieces] = field(default_factory=list)

    def open(self, offset: int) -> Pieces:
        self.asked.append(offset)
        start = offset + self.shift if self.resumes else 0
        self.streams.append(Pieces(self.content[start:], start))
        return self.streams[-1]


def download(*sources: Given, have: int = 0) -> Download:
    artifact = File(
        kind="file", path="files/x", digest=Digest.of(CONTENT), size=len(CONTENT), sources=()
    )
    extent = Extent(
        path="files/x",
        header=START - 512,
        offset=START,
        size=len(CONTENT),
        digest=artifact.digest,
        content=artifact,
    )
    return Download(
        Job(
            wanted=extent,
            place=Memory(),
            sources=tuple(Source(name=one.name, host="host", open=one.open) for one in sources),
            have=have,
        )
    )


def attempt(item: Download, place: Memory, stop: Stop | None = None) -> None:
    item.job = replace(item.job, place=place)
    buffer = memoryview(bytearray(1 << 12))
    with Silent().progress("x", None) as progress:
        item.attempt(Sink(progress=progress, stop=stop or Stop(), buffer=buffer))


def adopt(item: Download, place: Memory) -> None:
    item.job = replace(item.job, place=place)
    buffer = memoryview(bytearray(700))
    with Silent().progress("x", None) as progress:
        item.adopt(Sink(progress=progress, stop=Stop(), buffer=buffer))


def test_all_bytes_arrive_at_their_place() -> None:
    item, place = download(source := Given()), Memory()
    attempt(item, place)
    assert (place.artifact, item.whole, item.right) == (CONTENT, True, True)
    assert source.streams[0].closed
    outcome = item.outcome()
    assert (outcome.state, outcome.source, outcome.fetched) == ("fetched", "given", len(CONTENT))


def test_a_body_that_ends_early_is_kept_and_ended_later() -> None:
    item, place = download(short := Given(CONTENT[:3000]), Given(name="other")), Memory()
    with pytest.raises(FetchError) as caught:
        attempt(item, place)
    assert str(caught.value) == "given: sent 3,000 of 5,120 bytes"
    assert caught.value.temporary
    assert (item.have, short.streams[0].closed) == (3000, True)
    item.broke()
    assert item.pass_on(Fault(where="given", what="broke"))
    attempt(item, place)
    assert place.artifact == CONTENT
    outcome = item.outcome()
    assert (outcome.source, [fault.what for fault in outcome.passed_over]) == ("other", ["broke"])
    assert not item.pass_on(Fault(where="other", what="broke"))


def test_what_the_next_source_brings_counts_although_the_one_before_sent_it_all_wrong() -> None:
    item, place = download(Given(b"x" * len(CONTENT)), Given(CONTENT[:3000])), Memory()
    with pytest.raises(FetchError):
        attempt(item, place)
    assert item.pass_on(Fault(where="given", what="sent the wrong bytes"))
    before = item.reached
    with pytest.raises(FetchError):
        attempt(item, place)
    assert item.reached - before == 3000


def test_what_an_earlier_run_left_is_hashed_and_used() -> None:
    place = Memory()
    place.write(memoryview(CONTENT[:2000]), 0)
    item = download(source := Given(), have=2000)
    adopt(item, place)
    assert (item.have, item.claimed) == (2000, 0)
    attempt(item, place)
    assert (source.asked, place.artifact) == ([2000], CONTENT)
    assert (item.outcome().state, item.outcome().fetched) == ("resumed", len(CONTENT) - 2000)


def test_a_claim_of_everything_needs_no_source() -> None:
    place = Memory()
    place.write(memoryview(CONTENT), 0)
    item = download(have=99_999)
    adopt(item, place)
    assert (item.whole, item.right) == (True, True)
    assert (item.outcome().state, item.outcome().source) == ("cached", None)


def test_a_whole_claim_that_is_wrong_is_dropped() -> None:
    item = download(have=len(CONTENT))
    adopt(item, Memory())
    assert (item.have, item.whole) == (0, False)


def test_a_wrong_prefix_starts_it_afresh_before_the_source_is_blamed() -> None:
    item, place = download(source := Given(), have=2000), Memory()
    adopt(item, place)
    with pytest.raises(StaleError):
        attempt(item, place)
    assert (item.have, item.attempts.afresh) == (0, True)
    attempt(item, place)
    assert (source.asked, place.artifact) == ([2000, 0], CONTENT)


def test_wrong_bytes_in_one_go_are_the_source_s_fault() -> None:
    item = download(Given(CONTENT[::-1]))
    with pytest.raises(FetchError) as caught:
        attempt(item, Memory())
    assert str(caught.value) == (
        f"given: sent the wrong bytes ({Digest.of(CONTENT[::-1])}) (expected {Digest.of(CONTENT)})"
    )
    assert (item.have, caught.value.temporary) == (0, False)


def test_a_source_that_begins_anew_is_taken_from_its_beginning() -> None:
    place = Memory()
    place.write(memoryview(CONTENT[:2000]), 0)
    item = download(Given(resumes=False), have=2000)
    adopt(item, place)
    attempt(item, place)
    assert (place.artifact, item.fetched) == (CONTENT, len(CONTENT))


def test_a_source_that_begins_elsewhere_is_refused() -> None:
    place = Memory()
    place.write(memoryview(CONTENT[:2000]), 0)
    item = download(source := Given(shift=1), have=2000)
    adopt(item, place)
    with pytest.raises(FetchError) as caught:
        attempt(item, place)
    assert str(caught.value) == "given: sent bytes from 2,001 onwards (expected from 2,000 onwards)"
    assert (item.have, source.streams[0].closed) == (2000, True)


def test_nothing_is_written_once_nobody_waits() -> None:
    item, place, stop = download(source := Given()), Memory(), Stop()
    stop.wanted = True
    with pytest.raises(Cancelled):
        attempt(item, place, stop=stop)
    assert (item.have, source.streams[0].closed, item._stream) == (0, True, None)
    assert place.artifact == bytes(len(CONTENT))


def test_failed_attempts_are_forgotten_by_the_next_source() -> None:
    item = download(Given(), Given())
    item.attempts.fail(started=1.0, now=61.0, fed_at=-1.0)
    item.attempts.fail(started=61.0, now=70.0, fed_at=65.0)
    fault = Fault(where="given", what="silent")
    assert item.attempts == Attempts(failures=2, failing_since=1.0, wasted=65.0)
    item.pass_on(fault)
    assert item.attempts == Attempts(turn=1, faults=[fault])


@pytest.mark.parametrize(("step", "asked"), [(1000, [0, 2000]), (0, [0, 0])])
def test_a_place_that_fails_is_asked_again_from_what_it_saved(step: int, asked: list[int]) -> None:
    item, place = download(source := Given()), Memory(fails=2500, step=step)
    with pytest.raises(PlaceError, match="is away"):
        attempt(item, place)
    with Silent().progress("x", None) as progress:
        item.recover(progress)
    attempt(item, place)
    assert (source.asked, place.artifact, item.right) == (asked, CONTENT, True)

"""What happens to a download when servers misbehave: real HTTP on loopback, faults by the lab."""

from __future__ import annotations

import json
import signal
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import bundles
import pytest
from fault_lab import faults

from builder.bundle import journal
from builder.bundle.source import Supply
from builder.bundle.transfer import Transfer
from builder.bundle.writer import journal_path
from builder.errors import UnavailableError, VerificationError
from builder.http import Client
from builder.report import Silent

if TYPE_CHECKING:
    import io
    from collections.abc import Callable
    from pathlib import Path

    from fault_lab.upstream import FaultyUpstream

    from builder.bundle.layout import Extent
    from builder.bundle.writer import BundleResult
    from builder.report import Progress

    Make = Callable[..., BundleResult]
    Supplier = Callable[[Extent], Supply]
FIRST, SECOND = bundles.HOSTS


def largest(origin: bundles.Origin) -> str:
    """Return the URL path of the largest artifact."""
    extent = max(origin.layout.fetched, key=lambda e: e.size)
    return f"/{extent.digest.hex}"


def asked(upstream: FaultyUpstream, path: str = "*") -> list[str | None]:
    """Return the Range of each request for a path, in order."""
    return [served.range for served in upstream.requests if path in {"*", served.path}]


def test_each_artifact_is_fetched_once_and_the_bundle_is_as_laid_out(
    make: Make, origin: bundles.Origin, upstream: FaultyUpstream, expected: bytes
) -> None:
    result = make()
    assert result.target.read_bytes() == expected
    assert bundles.leftovers(result.target) == []
    wanted = {f"/{extent.digest.hex}" for extent in origin.layout.fetched if extent.size}
    assert sorted(served.path for served in upstream.requests) == sorted(wanted)
    states = {outcome.path: outcome.state for outcome in result.outcomes}
    assert set(states) == set(origin.contents)
    assert sorted(states.values()) == ["copied"] + ["fetched"] * (len(states) - 1)
    twice = len(origin.contents["files/twin"])
    assert result.fetched == sum(e.size for e in origin.layout.fetched) - twice
    assert result.fallbacks == ()


@pytest.mark.parametrize(
    "fault",
    [
        faults.Status(503),
        faults.Status(500),
        faults.Status(429, retry_after="0"),
        faults.Reset(after=0.5),
        faults.Truncate(after=0.5),
        faults.Hang(seconds=2),
        faults.Hang(seconds=2, after=0.5),
        faults.Drip(piece=16384, pause=0.01),
    ],
    ids=lambda fault: f"{fault}".replace("faults.", ""),
)
def test_a_fault_that_passes_is_survived(
    make: Make,
    origin: bundles.Origin,
    upstream: FaultyUpstream,
    expected: bytes,
    fault: faults.NetworkFault,
) -> None:
    upstream.faults.add(fault, path=largest(origin), times=1)
    result = make()
    assert result.target.read_bytes() == expected
    assert result.fallbacks == ()
    assert bundles.leftovers(result.target) == []


def test_a_broken_body_goes_on_where_it_broke(
    make: Make, origin: bundles.Origin, upstream: FaultyUpstream, expected: bytes
) -> None:
    upstream.faults.add(faults.Truncate(after=10_000), path=largest(origin), times=1)
    result = make()
    assert result.target.read_bytes() == expected
    assert asked(upstream, largest(origin)) == [None, "bytes=10000-"]


def test_a_server_that_ignores_ranges_starts_over(
    make: Make, origin: bundles.Origin, upstream: FaultyUpstream, expected: bytes
) -> None:
    upstream.faults.add(faults.Truncate(after=10_000), path=largest(origin), times=1)
    upstream.faults.add(faults.RangeIgnored(), ranged=True)
    result = make()
    assert result.target.read_bytes() == expected
    assert result.fallbacks == ()
    [outcome] = [o for o in result.outcomes if o.path.endswith(biggest(origin))]
    assert outcome.fetched == outcome.size + 10_000


def biggest(origin: bundles.Origin) -> str:
    return largest(origin).strip("/")


def test_a_source_that_cannot_resume_is_asked_for_everything(
    make: Make, origin: bundles.Origin, upstream: FaultyUpstream, expected: bytes
) -> None:
    upstream.faults.add(faults.Truncate(after=10_000), path=largest(origin), times=1)
    upstream.faults.add(faults.Status(400), ranged=True)
    result = make()
    assert result.target.read_bytes() == expected
    assert asked(upstream, largest(origin)) == [None, "bytes=10000-", None]
    assert result.fallbacks == ()


def test_wrong_bytes_after_a_resume_start_it_afresh_before_anybody_is_blamed(
    make: Make, origin: bundles.Origin, upstream: FaultyUpstream, expected: bytes
) -> None:
    upstream.faults.add(faults.Truncate(after=10_000), path=largest(origin), times=1)
    upstream.faults.add(faults.WrongBytes(), path=largest(origin), ranged=True)
    result = make()
    assert result.target.read_bytes() == expected
    assert asked(upstream, largest(origin)) == [None, "bytes=10000-", None]
    assert result.fallbacks == ()


def test_wrong_bytes_in_one_go_are_blamed_on_the_source(
    make: Make, origin: bundles.Origin, upstream: FaultyUpstream, expected: bytes
) -> None:
    upstream.faults.add(faults.WrongBytes(), host=FIRST, path=largest(origin))
    result = make()
    assert result.target.read_bytes() == expected
    [outcome] = result.fallbacks
    [fault] = outcome.passed_over
    assert outcome.path.endswith(biggest(origin))
    assert outcome.source == fault.where.replace(upstream.listen(FIRST), upstream.listen(SECOND))
    assert fault.what.startswith("sent the wrong bytes (sha256:")
    assert fault.expected == f"sha256:{biggest(origin)}"


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        (faults.Status(404), "the server answered 404 Not Found"),
        (faults.LoginPage(), "sent 79 bytes of text/html where"),
        (faults.Status(503), "the server answered 503 Service Unavailable"),
        (faults.Reset(after=0), "the connection to"),
    ],
    ids=["404", "page", "503", "reset"],
)
def test_the_next_source_is_asked_when_one_fails_for_good(
    make: Make,
    origin: bundles.Origin,
    upstream: FaultyUpstream,
    expected: bytes,
    fault: faults.NetworkFault,
    what: str,
) -> None:
    upstream.faults.add(fault, host=FIRST, path=largest(origin))
    result = make()
    assert result.target.read_bytes() == expected
    [outcome] = [o for o in result.fallbacks if o.path.endswith(largest(origin).strip("/"))]
    assert [f.what.partition(" 127")[0][: len(what)] for f in outcome.passed_over] == [what]
    # a host that fails for a while may be given up, and what else it has comes from the next, too
    if isinstance(fault, faults.LoginPage) or what.endswith("Not Found"):
        assert len(result.fallbacks) == 1


def test_what_one_source_began_the_next_one_ends(
    make: Make, origin: bundles.Origin, upstream: FaultyUpstream, expected: bytes
) -> None:
    upstream.faults.add(faults.Truncate(after=10_000), host=FIRST, path=largest(origin), times=1)
    upstream.faults.add(faults.Status(404), host=FIRST, path=largest(origin))
    result = make()
    assert result.target.read_bytes() == expected
    ranges = [
        (served.host, served.range)
        for served in upstream.requests
        if served.path == largest(origin)
    ]
    # the 404 may be because of the range, so the first host is asked once more without one
    assert ranges == [
        (FIRST, None),
        (FIRST, "bytes=10000-"),
        (FIRST, None),
        (SECOND, "bytes=10000-"),
    ]


def test_retry_after_stops_the_whole_host(
    make: Make, origin: bundles.Origin, upstream: FaultyUpstream, expected: bytes
) -> None:
    upstream.faults.add(faults.Status(429, retry_after="1"), host=FIRST, nth=1)
    start = time.monotonic()
    result = make(policy=replace(bundles.QUICK, workers=1))
    assert time.monotonic() - start >= 1
    assert result.target.read_bytes() == expected
    assert result.fallbacks == ()
    assert {served.host for served in upstream.requests} == {FIRST}


def test_patience_has_an_end(
    make: Make, upstream: FaultyUpstream, expected: bytes, origin: bundles.Origin
) -> None:
    upstream.faults.add(faults.Status(429, retry_after="60"), host=FIRST)
    result = make(policy=replace(bundles.QUICK, workers=1))
    assert result.target.read_bytes() == expected
    first = next(outcome for outcome in result.outcomes if outcome.path.endswith(biggest(origin)))
    assert [fault.what for fault in first.passed_over] == [
        "the server answered 429 Too Many Requests and asks to wait 60 s"
    ]
    others = {o.passed_over[0].what for o in result.fallbacks if o is not first}
    assert others == {"asks to wait for more than 3 s"}
    assert [served.host for served in upstream.requests].count(FIRST) == 1


def test_a_silent_host_is_given_up_for_all_artifacts_together(
    make: Make, upstream: FaultyUpstream, expected: bytes, origin: bundles.Origin
) -> None:
    upstream.faults.add(faults.Hang(), host=FIRST)
    start = time.monotonic()
    result = make(
        policy=replace(bundles.QUICK, workers=2, backoff=replace(bundles.QUICK.backoff, attempts=4))
    )
    assert (
        time.monotonic() - start < 10
    )  # each artifact alone would wait for 4 times 0.5 s, 30 s in all
    assert result.target.read_bytes() == expected
    asked_first = [served for served in upstream.requests if served.host == FIRST]
    assert len(asked_first) <= 4 * 2
    wants = {outcome.path for outcome in result.outcomes if outcome.state == "fetched"}
    assert {outcome.path for outcome in result.fallbacks} == {
        path for path in wants if origin.contents[path]
    }
    whats = {outcome.passed_over[0].what for outcome in result.fallbacks}
    silent = f"{upstream.listen(FIRST)} stopped sending"
    assert whats == {f"was given up: {silent} (tried 4 times)"}


def test_a_host_that_fails_for_one_artifact_serves_the_others(
    make: Make, upstream: FaultyUpstream, expected: bytes, origin: bundles.Origin
) -> None:
    upstream.faults.add(faults.Status(503), host=FIRST, path=largest(origin))
    upstream.faults.add(faults.Drip(piece=8192, pause=0.02), host=FIRST)
    # a busy machine must not use the host's patience up
    result = make(policy=replace(bundles.QUICK, patience=60.0))
    assert result.target.read_bytes() == expected
    assert [outcome.path for outcome in result.fallbacks] == [
        f"images/blobs/sha256/{biggest(origin)}"
    ]


def test_silence_ends_after_an_outage_however_many_tries_are_left(
    make: Make, upstream: FaultyUpstream, expected: bytes, origin: bundles.Origin
) -> None:
    upstream.faults.add(faults.Hang(), host=FIRST)
    result = make(
        policy=replace(
            bundles.QUICK,
            workers=1,
            backoff=replace(bundles.QUICK.backoff, attempts=99),
            outage=0.9,
        )
    )
    assert result.target.read_bytes() == expected
    tried = [(served.host, served.path) for served in upstream.requests]
    assert tried.count((FIRST, largest(origin))) == 2


def test_a_wait_is_shown_while_it_lasts(make: Make, upstream: FaultyUpstream) -> None:
    shown: list[str] = []

    class Showing(Silent):
        def progress(self, title: str, total: int | None, *, unit: str = "B") -> Progress:
            still = super().progress(title, total, unit=unit)
            still.describe = shown.append  # type: ignore[method-assign]
            return still

    upstream.faults.add(faults.Status(429, retry_after="2"), host=FIRST, nth=1)
    make(policy=replace(bundles.QUICK, workers=1), reporter=Showing())
    address = upstream.listen(FIRST)
    waits = [text for text in shown if text]
    assert f"waiting 1 s for {address}" in waits
    assert set(waits) <= {f"waiting {seconds} s for {address}" for seconds in (1, 2)}
    assert waits == sorted(waits, reverse=True)
    assert shown[-1] == ""


def test_patience_ends_although_what_was_under_way_succeeds(
    make: Make, upstream: FaultyUpstream, expected: bytes, origin: bundles.Origin
) -> None:
    upstream.faults.add(faults.Drip(piece=8192, pause=0.05), host=FIRST, path=largest(origin))
    upstream.faults.add(faults.Status(429, retry_after="3600"), host=FIRST)
    result = make()
    assert result.target.read_bytes() == expected
    [first] = [o for o in result.outcomes if o.path.endswith(biggest(origin))]
    assert first.passed_over == ()
    assert len(result.fallbacks) == sum(map(bool, origin.contents.values())) - 2  # it and the copy


def test_one_failure_does_not_stop_the_others_and_all_are_told(
    make: Make, origin: bundles.Origin, upstream: FaultyUpstream, expected: bytes
) -> None:
    lost = sorted(origin.layout.fetched, key=lambda e: -e.size)[:2]
    for extent in lost:
        upstream.faults.add(faults.Status(404), path=f"/{extent.digest.hex}")
    with pytest.raises(UnavailableError) as caught:
        make()
    assert str(caught.value) == "2 artifacts could not be fetched"
    assert caught.value.hint == ("what was fetched is kept; run the same command again to continue")
    first, second = upstream.listen(FIRST), upstream.listen(SECOND)
    assert [str(fault) for fault in caught.value.faults] == sorted(
        f"{extent.name} from http://{address}/{extent.digest.hex}: "
        "the server answered 404 Not Found"
        for extent in lost
        for address in (first, second)
    )


def test_after_a_failure_only_what_is_missing_is_fetched(
    make: Make, origin: bundles.Origin, upstream: FaultyUpstream, expected: bytes
) -> None:
    upstream.faults.add(faults.Status(404), path=largest(origin))
    with pytest.raises(UnavailableError):
        make()
    upstream.faults.clear()
    before = len(upstream.requests)
    result = make()
    assert result.target.read_bytes() == expected
    assert [served.path for served in upstream.requests[before:]] == [largest(origin)]
    assert bundles.leftovers(result.target) == []


def test_a_look_that_comes_late_takes_nothing_back(
    make: Make,
    origin: bundles.Origin,
    upstream: FaultyUpstream,
    target: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was under way a moment ago may be finished now."""
    upstream.faults.add(faults.Status(404), path=largest(origin))
    seen = [(extent.path, 1) for extent in origin.layout.fetched]
    monkeypatch.setattr(Transfer, "unfinished", lambda _: seen)
    with pytest.raises(UnavailableError):
        make()
    lines = [json.loads(line) for line in journal_path(target).read_text("utf-8").splitlines()]
    done = {line["done"] for line in lines if "done" in line}
    claims = journal.read(journal_path(target)).claims
    assert done
    assert [path for path in done if not claims[path].done] == []


def test_nothing_to_ask_is_an_error_of_its_own(make: Make) -> None:
    with pytest.raises(UnavailableError) as caught:
        make(supply=lambda _extent: Supply(sources=()))
    assert {fault.what for fault in caught.value.faults} == {"there is no source for it"}


def test_a_check_sees_the_finished_artifact_and_its_refusal_is_final(
    make: Make, supply: Supplier, origin: bundles.Origin, upstream: FaultyUpstream, expected: bytes
) -> None:
    seen: dict[str, bytes] = {}

    def checked(extent: Extent) -> Supply:
        def check(file: io.BufferedReader) -> None:
            seen[extent.path] = file.read()
            if "tool2" in extent.path:
                raise VerificationError("is not signed", where="anywhere", hint="a hint")

        return replace(supply(extent), check=check)

    with pytest.raises(VerificationError) as caught:
        make(supply=checked)
    assert str(caught.value) == "1 artifact failed the check"
    assert [str(fault) for fault in caught.value.faults] == ["tool2-1.0-1.x86_64: is not signed"]
    twin = origin.layout.extent("files/twin")
    [copy] = [e.path for e in origin.layout.fetched if e.digest == twin.digest and e != twin]
    assert seen == {path: bytes_ for path, bytes_ in origin.contents.items() if path != copy}
    assert {served.host for served in upstream.requests} == {FIRST}
    assert make().target.read_bytes() == expected


def test_an_interrupt_ends_the_run_quickly_and_keeps_what_is_there(
    make: Make, origin: bundles.Origin, upstream: FaultyUpstream, expected: bytes, target: Path
) -> None:
    upstream.faults.add(faults.Hang(after=20_000), path=largest(origin), times=1)
    addresses = {host: upstream.listen(host) for host in bundles.HOSTS}
    main = threading.main_thread().ident
    assert main is not None
    sent_at: list[float] = []

    def interrupt() -> None:
        deadline = time.monotonic() + 60
        path = f"images/blobs/sha256/{biggest(origin)}"
        while time.monotonic() < deadline:
            claims = journal.read(journal_path(target)).claims
            done = [claim for claim in claims.values() if claim.done]
            held = path in claims and claims[path].size == 20_000
            if held and len(done) >= len(origin.contents) - 2:
                break  # all but it and the copy
            time.sleep(0.01)
        sent_at.append(time.monotonic())
        signal.pthread_kill(main, signal.SIGINT)

    with Client(read_timeout=120) as patient:
        supply = bundles.supplier(patient, addresses)
        threading.Thread(target=interrupt).start()
        with pytest.raises(KeyboardInterrupt):
            make(supply=supply)
    assert time.monotonic() - sent_at[0] < 3
    assert not [thread for thread in threading.enumerate() if "transfer-" in thread.name]
    count = len(upstream.requests)
    assert make().target.read_bytes() == expected
    assert [(served.path, served.range) for served in upstream.requests[count:]] == [
        (largest(origin), "bytes=20000-")
    ]


def test_a_host_that_fails_for_many_is_told_once(
    make: Make, origin: bundles.Origin, upstream: FaultyUpstream
) -> None:
    upstream.faults.add(faults.Status(404))
    with pytest.raises(UnavailableError) as caught:
        make()
    count = len({extent.digest for extent in origin.layout.fetched if extent.size})
    assert str(caught.value) == f"{count} artifacts could not be fetched"
    first, second = sorted([upstream.listen(FIRST), upstream.listen(SECOND)])
    named = [(fault.where, fault.what.partition(":")[0]) for fault in caught.value.faults]
    what = f"the server answered 404 Not Found, for {count} artifacts"
    assert named == [(first, what), (second, what)]
    assert caught.value.faults[0].what.endswith(", ...")

from __future__ import annotations

import datetime as dt
import email.utils
import threading
import time

import pytest

from builder.backoff import REFUSALS, TEMPORARY, Backoff, retry_after


def test_pauses_double_up_to_the_longest_and_are_scattered() -> None:
    backoff = Backoff(first=0.5, longest=4.0)
    for failures, most in enumerate([0.5, 1.0, 2.0, 4.0, 4.0], start=1):
        pauses = [backoff.pause(failures) for _ in range(50)]
        assert most / 2 <= min(pauses) < max(pauses) <= most


def test_a_server_is_never_asked_before_the_time_that_it_names() -> None:
    assert Backoff(longest=30.0).pause(1, 90.0) == 90.0
    assert Backoff(first=8.0).pause(1, 1.0) >= 4.0


def test_a_wait_ends_when_it_is_cancelled() -> None:
    cancelled = threading.Event()
    threading.Timer(0.05, cancelled.set).start()
    start = time.monotonic()
    Backoff().wait(60.0, cancelled)
    assert time.monotonic() - start < 10


def test_a_stand_in_waits_instead() -> None:
    asked: list[float] = []
    Backoff(sleep=asked.append).wait(60.0, threading.Event())
    assert asked == [60.0]


def test_who_asks_for_patience_is_asked_again() -> None:
    assert REFUSALS < TEMPORARY


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        (" 30 ", 30.0),
        ("9" * 400, 86_400.0),
        ("-5", None),
        ("soon", None),
        ("1.5", None),
        ("\u0663", None),
        ("Wed, 99 Foo 2020 99:99:99 GMT", None),
    ],
)
def test_retry_after_in_seconds(text: str | None, seconds: float | None) -> None:
    assert retry_after(text) == seconds


@pytest.mark.parametrize(
    ("ahead", "seconds"), [(45, 45.0), (-45, 0.0), (4500, 4500.0), (90_000, 86_400.0)]
)
def test_retry_after_as_a_date(ahead: int, seconds: float) -> None:
    now = dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)
    text = email.utils.format_datetime(now + dt.timedelta(seconds=ahead), usegmt=True)
    date = email.utils.format_datetime(now, usegmt=True)  # years behind this machine's clock
    assert retry_after(text, date) == seconds
    assert retry_after("7", date) == 7.0
    assert retry_after(text, "soon") == 0.0

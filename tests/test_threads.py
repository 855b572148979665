from __future__ import annotations

import threading
import time

import pytest

from builder.threads import each


def test_answers_keep_the_order_of_the_items() -> None:
    def work(number: int) -> int:
        time.sleep(0.02 * (3 - number))
        return number * 10

    assert each(range(4), work, most=4) == [0, 10, 20, 30]
    assert each([], work, most=4) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_error_ends_what_waits_and_begins_nothing_more(error: type[BaseException]) -> None:
    cancelled, begun = threading.Event(), []

    def work(number: int) -> None:
        begun.append(number)
        if number == 0:
            raise error
        cancelled.wait(60)

    start = time.monotonic()
    with pytest.raises(error):
        each(range(9), work, most=2, cancel=cancelled.set)
    assert time.monotonic() - start < 10
    assert len(begun) < 9

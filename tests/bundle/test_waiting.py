"""Who waits for which host, and who goes first."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from steps import is_linear

from builder.bundle.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = 100.0


def item(name: str, size: int, host: str = "a", ready_at: float = 0.0) -> Any:
    return SimpleNamespace(
        name=name,
        host=host,
        job=SimpleNamespace(wanted=SimpleNamespace(size=size)),
        attempts=SimpleNamespace(ready_at=ready_at),
        placing=SimpleNamespace(ready_at=0.0),
    )


def hosts(one: Any) -> tuple[str, str]:
    return one.host, ""


def names(waiting: Waiting, now: float, *blocked: str) -> list[str]:
    found: list[str] = []
    while (one := waiting.take(lambda one: hosts(one)[0] not in blocked, now)) is not None:
        found.append(one.name)  # type: ignore[attr-defined]
    return found


def test_the_largest_goes_first_whichever_host_has_it() -> None:
    sizes = {"one": ("a", 5), "two": ("b", 9), "three": ("a", 7), "four": ("c", 7)}
    waiting = Waiting([item(name, size, host) for name, (host, size) in sizes.items()], hosts, NOW)
    assert len(waiting) == len(list(waiting)) == 4
    assert names(waiting, NOW, "b") == ["three", "four", "one"]
    assert names(waiting, NOW) == ["two"]
    assert len(waiting) == 0


def test_what_failed_rests_until_its_time() -> None:
    waiting = Waiting([item("large", 9, ready_at=NOW + 5), item("small", 1)], hosts, NOW)
    assert names(waiting, NOW) == ["small"]
    assert list(waiting.soonest(lambda _: 0.0, NOW)) == [NOW + 5]
    assert len(waiting) == 1
    assert names(waiting, NOW + 5) == ["large"]


def test_it_is_told_when_a_host_takes_more() -> None:
    waiting = Waiting([item("one", 1), item("two", 1, "b")], hosts, NOW)
    free_at = {"a": NOW + 3, "b": NOW - 3, "": 0.0}
    assert list(waiting.soonest(free_at.__getitem__, NOW)) == [NOW + 3]


def test_a_host_that_takes_no_more_is_asked_once_however_many_wait() -> None:
    """Each thread asks again whenever anything has ended."""

    def work(size: int) -> Callable[[], object]:
        def take_all() -> None:
            waiting = Waiting([item(str(n), n) for n in range(size)], hosts, NOW)
            while len(waiting):
                for _ in range(5):
                    assert waiting.take(lambda _: False, NOW) is None
                assert waiting.take(lambda _: True, NOW) is not None

        return take_all

    assert is_linear(work, 200)

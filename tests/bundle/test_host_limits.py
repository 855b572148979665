from __future__ import annotations

from builder.bundle.host_limits import HostLimits


def taken(hosts: HostLimits, name: str, now: float = 0.0) -> int:
    """Take places until there is none, give them back, and tell how many there were."""
    count = 0
    while count < 99 and hosts.acquire(name, now):
        count += 1
    for _ in range(count):
        hosts.release(name)
    return count


def test_a_host_has_so_many_places() -> None:
    hosts = HostLimits(most=6)
    assert taken(hosts, "a") == 6
    assert hosts.acquire("a", 0)
    assert taken(hosts, "a") == 5
    assert taken(hosts, "b") == 6


def test_a_failure_halves_them_once_for_all_that_ran_then() -> None:
    hosts = HostLimits(most=8)
    hosts.failed("a", started=1.0, now=5.0)
    hosts.failed("a", started=2.0, now=5.1)
    assert taken(hosts, "a") == 4
    hosts.failed("a", started=5.2, now=6.0)
    assert taken(hosts, "a") == 2
    for now in (7.0, 8.0, 9.0):
        hosts.failed("a", started=now, now=now)
    assert taken(hosts, "a") == 1


def test_successes_bring_them_back_one_after_the_other() -> None:
    hosts = HostLimits(most=3)
    hosts.failed("a", started=1.0, now=1.0)
    assert taken(hosts, "a") == 1
    hosts.succeeded("a", now=2.0)
    assert taken(hosts, "a") == 2
    for _ in range(9):
        hosts.succeeded("a", now=2.0)
    assert taken(hosts, "a") == 3


def test_a_pause_stops_the_whole_host_and_no_other() -> None:
    hosts = HostLimits(most=2)
    hosts.refused("a", now=1.0, until=10.0)
    hosts.refused("a", now=2.0, until=5.0)
    assert taken(hosts, "a", now=9.9) == 0
    assert taken(hosts, "b", now=9.9) == 2
    assert hosts.free_at("a") == 10.0
    assert taken(hosts, "a", now=10.0) == 2


def test_the_local_disk_has_places_without_end() -> None:
    assert taken(HostLimits(most=1), "") == 99


def test_a_host_that_refuses_for_too_long_is_given_up_until_it_succeeds() -> None:
    hosts = HostLimits(most=2)
    hosts.refused("a", now=1.0, until=3.0)
    assert not hosts.given_up("a", patience=4.0)
    hosts.refused("a", now=4.0, until=6.0)
    assert hosts.given_up("a", patience=4.0) == "asks to wait for more than 4 s"
    assert not hosts.given_up("b", patience=4.0)
    hosts.succeeded("a", now=5.0)  # it was under way before
    assert hosts.given_up("a", patience=4.0)
    hosts.succeeded("a", now=6.5)
    hosts.refused("a", now=7.0, until=9.0)
    assert not hosts.given_up("a", patience=4.0)


def test_a_host_without_a_sign_of_life_is_lost_until_it_gives_one() -> None:
    hosts = HostLimits(most=2)
    hosts.lives("a", 5.0)
    hosts.lose("a", "no answer", since=4.0, now=10.0)
    assert hosts.given_up("a", patience=60) == ""
    hosts.lose("a", "no answer", since=6.0, now=10.0)
    hosts.lives("a", 5.5)  # told late, and before it was lost
    assert hosts.given_up("a", patience=60) == "no answer"
    assert hosts.given_up("b", patience=60) == ""
    hosts.lives("a", 11.0)
    assert hosts.given_up("a", patience=60) == ""


def test_the_local_disk_is_never_lost() -> None:
    hosts = HostLimits(most=2)
    hosts.lose("", "no answer", since=6.0, now=10.0)
    assert hosts.given_up("", patience=60) == ""


def test_it_says_what_is_waited_for() -> None:
    hosts = HostLimits(most=2)
    hosts.refused("b.example", now=1.0, until=41.0)
    hosts.refused("a.example", now=1.0, until=3.0)
    assert hosts.waits(1.0) == "waiting 2 s for a.example, waiting 40 s for b.example"
    assert hosts.waits(3.0) == "waiting 38 s for b.example"
    assert hosts.waits(41.0) == ""

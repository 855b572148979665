"""``publish`` and ``mirror`` killed at any moment, interrupted, doubled, refused for a while."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter
from contextlib import suppress
from subprocess import TimeoutExpired
from typing import TYPE_CHECKING

import pytest
from push_registry import PushRegistry, Quirks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sandboxes import Sample, Sandbox

MOMENTS = 50
SLOWLY = 0.03
"""Seconds that a request takes, so that there is time to be killed in."""
_START = 0.4
"""Seconds that a run needs at least until its first request."""
QUIRKS: tuple[Callable[[], Quirks], ...] = (
    lambda: Quirks(slow=SLOWLY),
    lambda: Quirks(slow=SLOWLY, sparse=False, mount=202),
    lambda: Quirks(slow=SLOWLY, whole=405, largest=1 << 20),
)


def words(verb: str, sample: Sample, registry: PushRegistry) -> tuple[str, ...]:
    what = str(sample.bundle) if verb == "publish" else "cluster.lock"
    return (verb, what, "--registry", f"{registry.host}/k8s")


def expect_all(sample: Sample, registry: PushRegistry) -> None:
    for image in sample.lock.images:
        tags = registry.tags[f"k8s/{image.reference.path}"]
        wanted = image.digest if registry.quirks.sparse else image.manifests[0].digest
        assert tags[image.reference.tagged.tag or ""] == str(wanted)
    assert registry.incomplete() == []


def length(sandbox: Sandbox, verb: str, sample: Sample) -> float:
    """Return the seconds that a run takes."""
    with PushRegistry(QUIRKS[0]()) as registry:
        started = time.monotonic()
        assert sandbox.run(*words(verb, sample, registry)).code == 0
        return time.monotonic() - started


def killed(sandbox: Sandbox, verb: str, sample: Sample, chance: random.Random, most: float) -> int:
    """Kill runs until one ends; return how many were killed."""
    kills = 0
    with PushRegistry(chance.choice(QUIRKS)()) as registry:
        while True:
            with sandbox.start(*words(verb, sample, registry)) as process:
                patience = chance.uniform(_START, most) if kills < 5 else None
                with suppress(TimeoutExpired):
                    process.communicate(timeout=patience or 120)
                if process.poll() is None:
                    process.kill()
                    process.communicate()
                elif process.returncode == 0:
                    break
                else:
                    pytest.fail(sandbox.run(*words(verb, sample, registry)).err)
            kills += 1
            registry.settle()
            assert registry.incomplete() == []
        expect_all(sample, registry)
        twice = {digest: n for digest, n in Counter(registry.stored).items() if n > 1}
        assert not twice
        again = sandbox.run(*words(verb, sample, registry))
        assert again.code == 0
        assert len(registry.stored) == len(set(registry.stored))
    return kills


@pytest.mark.parametrize("verb", ["publish", "mirror"])
def test_a_killed_run_is_gone_on_with(verb: str, sample: Sample, tmp_path: Path) -> None:
    with sample.sandbox(tmp_path / "work") as sandbox:
        most = length(sandbox, verb, sample)
        killed(sandbox, verb, sample, random.Random(verb), most)


@pytest.mark.campaign
@pytest.mark.parametrize("verb", ["publish", "mirror"])
def test_many_killed_runs_are_gone_on_with(verb: str, sample: Sample, tmp_path: Path) -> None:
    with sample.sandbox(tmp_path / "work") as sandbox:
        most, kills, seed = length(sandbox, verb, sample), 0, 0
        while kills < MOMENTS:
            seed += 1
            kills += killed(sandbox, verb, sample, random.Random(f"{verb} {seed}"), most)


def test_two_at_once_end_well(sample: Sample, tmp_path: Path) -> None:
    with sample.sandbox(tmp_path / "work") as sandbox, PushRegistry() as registry:
        line = words("publish", sample, registry)
        with sandbox.start(*line) as one, sandbox.start(*line) as other:
            assert [sandbox.end(each).code for each in (one, other)] == [0, 0]
        expect_all(sample, registry)


def test_one_interrupt_ends_it_within_seconds(sample: Sample, tmp_path: Path) -> None:
    quirks = Quirks(slow=1.0)
    with sample.sandbox(tmp_path / "work") as sandbox, PushRegistry(quirks) as registry:
        with sandbox.start(*words("publish", sample, registry)) as process:
            while registry.count("PUT") < 2:
                time.sleep(0.05)
            started = time.monotonic()
            process.send_signal(signal.SIGINT)
            ended = sandbox.end(process)
        assert time.monotonic() - started < 6
        assert (ended.code, "Traceback" in ended.err) == (130, False)
        quirks.slow = 0
        assert sandbox.run(*words("publish", sample, registry)).code == 0
        expect_all(sample, registry)


def test_a_registry_that_dies_and_comes_back_is_waited_for(sample: Sample, tmp_path: Path) -> None:
    quirks = Quirks(slow=SLOWLY)
    with sample.sandbox(tmp_path / "work") as sandbox, PushRegistry(quirks) as registry:
        with sandbox.start(*words("publish", sample, registry)) as process:
            while registry.count("PUT") < 2:
                time.sleep(0.02)
            registry.stop()
            timer = threading.Timer(1.5, registry.restart)
            timer.start()
            ended = sandbox.end(process)
            timer.join()
        assert ended.code == 0, ended.err
        expect_all(sample, registry)


@pytest.mark.parametrize("status", [500, 507])
def test_a_full_disk_at_the_far_end_is_told_and_the_rest_comes_later(
    status: int, sample: Sample, tmp_path: Path
) -> None:
    quirks = Quirks(busy={"PUT": [0, 0, 0, *[status] * 1000]})
    with sample.sandbox(tmp_path / "work") as sandbox, PushRegistry(quirks) as registry:
        refused = sandbox.run(*words("publish", sample, registry))
        assert refused.code == 1
        assert str(status) in refused.err
        assert registry.tags == {}
        quirks.busy.clear()
        assert sandbox.run(*words("publish", sample, registry)).code == 0
        expect_all(sample, registry)
        assert len(registry.stored) == len(set(registry.stored))

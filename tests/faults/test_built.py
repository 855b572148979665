"""``airseed lock`` and ``bundle`` killed while packages are fetched, packed and built again."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fault_lab.faults import Drip, Reset, Status, Truncate, WrongBytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandboxes import Ran, Sample, Sandbox

KILLS = 60
TEXT = (
    "kubernetes: {version: 1.18.5, packages: built}\n"
    "nodes:\n  - {name: a, role: control-plane, address: 10.0.0.1}\n"
)
PROGRAMS = ("*/bin/linux/*", "*.tgz", "*.tar.gz")
BODIES = ("/release/*/bin/linux/*", *PROGRAMS[1:])
"""The same where they are sent, not where a redirect points to them."""


@pytest.fixture
def sandbox(sample: Sample, tmp_path: Path) -> Iterator[Sandbox]:
    """Open a folder with a locked and bundled cluster whose packages were built."""
    with sample.sandbox(tmp_path / "work", locked=False) as opened:
        (opened.folder / "cluster.yaml").write_text(TEXT, "utf-8")
        good(opened.run("secrets", "-q"))
        good(opened.lock("-q"))
        good(opened.bundle("-q"))
        shutil.copytree(opened.folder, tmp_path / "finished")
        yield opened


def good(ran: Ran) -> Ran:
    assert ran.code == 0, ran.err
    return ran


def cached(sandbox: Sandbox) -> Path:
    return Path(sandbox.environment["XDG_CACHE_HOME"]) / "airseed" / "packages"


def is_right(sandbox: Sandbox) -> bool:
    """Tell whether lock and bundle are the finished ones, byte for byte."""
    finished = sandbox.folder.parent / "finished"
    return all(
        (sandbox.folder / name).read_bytes() == (finished / name).read_bytes()
        for name in ("cluster.lock", "bundle.tar")
    )


def left(sandbox: Sandbox) -> set[str]:
    """Return what lies in the workshop and is no finished package."""
    return {
        str(path.relative_to(cached(sandbox)))
        for path in cached(sandbox).rglob("*")
        if path.is_file() and path.suffix != ".rpm"
    } - {".lock"}


def kill(sandbox: Sandbox, dice: random.Random, usual: float, *words: str) -> bool:
    """Start a run and kill it at a random moment; tell whether it was not over by then."""
    with sandbox.start(*words) as process:
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=dice.uniform(0, usual))
        process.kill()
        process.communicate()
        return process.returncode < 0


def play(sandbox: Sandbox, kills: int, seed: int) -> tuple[int, int]:
    """Kill runs that lock or bundle from nothing; return how many, and how many ways to the end."""
    dice, done, ways = random.Random(seed), 0, 0
    for path in PROGRAMS:
        sandbox.upstream.faults.add(Drip(piece=1 << 15, pause=0.03), path=path)
    lock = ("lock", "cluster.yaml", "--catalog", str(sandbox.catalog))
    bundle = ("bundle", "cluster.lock")
    usual = {lock: 4.0, bundle: 4.0}
    while done < kills:
        words = dice.choice([lock, bundle])
        shutil.rmtree(cached(sandbox), ignore_errors=True)
        if words == lock:
            (sandbox.folder / "cluster.lock").unlink()
            shutil.rmtree(sandbox.folder / "cluster.lock.d")
        (sandbox.folder / "bundle.tar").unlink()
        while done < kills and kill(sandbox, dice, usual[words], *words):
            done += 1
            if dice.random() < 0.5:
                break
        began = time.monotonic()
        good(sandbox.run(*words))
        usual[words] = time.monotonic() - began
        if words == lock:
            good(sandbox.run(*bundle))
        ways += 1
        assert is_right(sandbox)
        assert left(sandbox) == set()
    return done, ways


def test_a_sample_of_kills(sandbox: Sandbox) -> None:
    done, _ = play(sandbox, kills=2, seed=3)
    assert done == 2


@pytest.mark.campaign
def test_many_kills(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    start = time.monotonic()
    done, ways = play(sandbox, KILLS, seed=0)
    with capsys.disabled():
        print(
            f"\n{done} kills while packages were fetched and built, {ways} locks and bundles"
            f" afterwards, all byte-identical, in {time.monotonic() - start:.0f} s"
        )


def test_a_bad_network_changes_nothing(sandbox: Sandbox) -> None:
    """Every program breaks, is refused or damaged once."""
    for path, fault in zip(BODIES, (Reset(), Truncate(0.3), Status(503)), strict=True):
        sandbox.upstream.faults.add(fault, path=path, times=2)
    # Near the end, so that it is also in what is asked for after a reset.
    sandbox.upstream.faults.add(WrongBytes(at=0.9), path="/release/*/kubeadm", times=1)
    shutil.rmtree(cached(sandbox))
    (sandbox.folder / "cluster.lock").unlink()
    ran = good(sandbox.lock())
    assert "kubeadm comes from" in ran.err
    (sandbox.folder / "bundle.tar").unlink()
    good(sandbox.bundle())
    assert is_right(sandbox)
    assert left(sandbox) == set()


def test_ctrl_c_waits_for_no_download(sandbox: Sandbox) -> None:
    shutil.rmtree(cached(sandbox))
    (sandbox.folder / "cluster.lock").unlink()
    for path in PROGRAMS:
        sandbox.upstream.faults.add(Drip(piece=1 << 10, pause=1.0), path=path)
    words = ("lock", "cluster.yaml", "--catalog", str(sandbox.catalog))
    entries = sandbox.upstream.access_log._entries  # also of requests that are under way
    before = len(entries)
    with sandbox.start(*words) as process:
        while not any("/bin/linux/" in one.request.path for one in entries[before:]):
            assert process.poll() is None
            time.sleep(0.05)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert time.monotonic() - began < 15
    sandbox.upstream.faults.clear()
    good(sandbox.lock("-q"))
    assert is_right(sandbox)


def test_an_upstream_that_is_gone_is_named_once_for_each(sandbox: Sandbox) -> None:
    shutil.rmtree(cached(sandbox))
    (sandbox.folder / "bundle.tar").unlink()
    rules = [sandbox.upstream.faults.add(Status(404), path=path) for path in PROGRAMS]
    ran = sandbox.bundle()
    assert ran.code == 1
    assert "Traceback" not in ran.err
    for name in ("kubeadm", "kubelet", "kubectl", "kubernetes-cni", "cri-tools"):
        assert ran.err.count(f"\n  {name}-") >= 1, ran.err
    assert "it can't be built again: https://dl.k8s.io/v1.18.5/bin/linux/amd64/kubelet" in ran.err
    assert all(rule.hits for rule in rules)
    sandbox.upstream.faults.clear()
    good(sandbox.bundle())  # all else was kept
    assert is_right(sandbox)

"""What all scenarios boot from, made once; ``setup.sh`` builds what it takes."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from e2e import machine, root_image
from e2e import upstream as servers
from e2e.cluster import Cluster
from e2e.machine import Switch
from e2e.resources import CACHE, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from e2e.root_image import RootImage
    from e2e.upstream import Upstream

_CONNTRACK = Path("/proc/sys/net/netfilter/nf_conntrack_max")
_ROOM = 12 << 30
"""Bytes that the machines of one scenario may need."""
_KEPT = 0.15
"""Of the disk, which is that of all machines: with less, kubelet throws away images out of use."""


@pytest.fixture(scope="session")
def workdir() -> Iterator[Path]:
    """Yield a folder that is gone afterwards; what is mounted in it goes with this process."""
    if os.getpid() != 1 or os.geteuid() != 0:
        pytest.fail("these tests boot machines in namespaces of their own: make e2e", pytrace=False)
    if not (CACHE / "own" / ".stamp").exists():
        pytest.fail(f"{CACHE} is not complete; run tests/e2e/setup.sh", pytrace=False)
    # it is let go of when this process ends
    lock = (CACHE / "running").open("w", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        pytest.fail("another make e2e is running", pytrace=False)
    # systemd-nspawn leaves folders there
    folder = Path("/run/systemd/nspawn")
    folder.mkdir(parents=True, exist_ok=True)
    run("mount", "-t", "tmpfs", "tmpfs", folder)
    for left in CACHE.glob("run-*"):
        shutil.rmtree(left)
    machine.remove_cgroups()
    with tempfile.TemporaryDirectory(prefix="run-", dir=CACHE) as name, lock:
        disk = shutil.disk_usage(name)
        needed = max(_ROOM, int(disk.total * _KEPT) + _ROOM // 2)
        assert disk.free >= needed, (
            f"{CACHE} has {disk.free >> 20} MiB free, {needed >> 20} are needed"
        )
        yield Path(name)


@pytest.fixture(scope="session")
def conntrack() -> Iterator[None]:
    """Let the host have the size of table that kube-proxy wants; a namespace can't change it."""
    before = _CONNTRACK.read_text("utf-8")
    _CONNTRACK.write_text(str(max(131072, 32768 * (os.cpu_count() or 1))), "utf-8")
    yield
    _CONNTRACK.write_text(before, "utf-8")


@pytest.fixture(scope="session")
def upstream(workdir: Path) -> Iterator[Upstream]:
    with servers.upstream(workdir / "upstream") as made:
        print(f"\nRPMs, images and their servers: {made.seconds:.0f} s")
        yield made


@pytest.fixture(scope="session")
def image(workdir: Path, upstream: Upstream) -> RootImage:
    return root_image.make(workdir / "image", upstream.stock)


@pytest.fixture
def switch(conntrack: None) -> Iterator[Switch]:
    made = Switch()
    yield made
    made.close()


@pytest.fixture
def make_cluster(
    workdir: Path, upstream: Upstream, image: RootImage, switch: Switch
) -> Callable[..., AbstractContextManager[Cluster]]:
    """Return a maker of clusters, which are taken down again."""

    @contextmanager
    def made(name: str, **how: object) -> Iterator[Cluster]:
        cluster = Cluster(workdir / name, upstream, image, switch, **how)  # type: ignore[arg-type]
        try:
            yield cluster
        finally:
            cluster.close()

    return made

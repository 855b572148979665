"""A full disk is one clear error, and the next run goes on: real file systems, real limits."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import sandboxes
from fault_lab.faults import Drip

from builder.bundle import journal
from builder.bundle.existing import journal_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import FileIO
    from pathlib import Path

    from sandboxes import Ran, Sample, Sandbox

root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system")
LOCKED = {"cluster.yaml", "cluster.lock", "cluster.lock.d"}
UNFINISHED = re.compile(r"tmp.*|\..+\.[0-9a-f]{8}\.part")
SLOWLY = Drip(piece=1 << 15, pause=0.03)


def limit(size: int) -> tuple[str, ...]:
    """Return the words that run a command with no file longer than so many bytes."""
    return ("sh", "-c", 'ulimit -f "$0"; exec "$@"', str(size // 512))


@contextmanager
def mounted(folder: Path, *words: str) -> Iterator[Path]:
    """Mount a file system of its own, or skip where that is not allowed."""
    folder.mkdir(parents=True)
    done = subprocess.run(["mount", *words, folder], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"mount {' '.join(words)}: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder: Path, leave: int = 0) -> Path:
    """Take all space of a file system but ``leave`` bytes."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file:
        while (left := _free(folder) - leave) > 0 and _written(file, min(left, 1 << 16)):
            pass  # how much a file takes beyond its length depends on the file system
        while not leave and _written(file, 512):
            pass
    return path


def _free(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def _written(file: FileIO, size: int) -> int:
    """Write so many bytes and return how many it took; 0 when there is no space."""
    try:
        return file.write(bytes(size))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return 0


def finished(target: Path) -> set[str]:
    """Return the paths that an unfinished bundle has."""
    claims = journal.read(journal_path(target)).claims
    return {path for path, claim in claims.items() if claim.done}


def goes_on(sample: Sample, sandbox: Sandbox, target: Path) -> None:
    """Run once more, with space: nothing that was finished is fetched, and all bytes are right."""
    had = finished(target)
    sandbox.upstream.faults.clear()
    ran = sandbox.bundle("-o", str(target))
    assert ran.code == 0, ran.err
    again = {one.path for one in sample.blobs if sandboxes.bytes_for(one, ran.requests)}
    assert again & had == set()
    assert target.read_bytes() == sample.bundle.read_bytes()
    assert {path.name for path in target.parent.iterdir()} - LOCKED == sandboxes.LEFT - LOCKED


def refuse(ran: Ran, *words: str) -> None:
    """Check that a command says in one error that there is no space."""
    assert sandboxes.blame(ran, *words) == []


def test_a_limit_that_the_bundle_exceeds_is_told_before_anything_is_fetched(
    sample: Sample, sandbox: Sandbox
) -> None:
    with sandbox.start("bundle", "cluster.lock", prefix=limit(1 << 20)) as process:
        ran = sandbox.end(process)
    refuse(ran, "bundle.tar.part: file too large", "ulimit -f")
    assert ran.requests == ()
    assert sandbox.names == LOCKED
    goes_on(sample, sandbox, sandbox.bundle_path)


def test_a_limit_that_is_met_halfway_keeps_what_was_fetched(
    sample: Sample, sandbox: Sandbox
) -> None:
    middle = sample.layout.size // 2
    begun(sandbox, sandbox.bundle_path, lambda: len(finished(sandbox.bundle_path)) > 3)
    had = finished(sandbox.bundle_path)
    with sandbox.start("bundle", "cluster.lock", prefix=limit(middle)) as process:
        ran = sandbox.end(process)
    refuse(ran, "bundle.tar.part: file too large", "ulimit -f")
    assert had <= finished(sandbox.bundle_path)
    goes_on(sample, sandbox, sandbox.bundle_path)


def begun(sandbox: Sandbox, target: Path, far_enough: Callable[[], bool]) -> None:
    """Run until something is the case, and kill it."""
    sandbox.upstream.faults.add(SLOWLY)
    with sandbox.start("bundle", "cluster.lock", "-o", str(target)) as process:
        await_(far_enough)
        process.kill()
        process.communicate()
    sandbox.upstream.faults.clear()


def await_(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@root
@pytest.mark.campaign
def test_a_bundle_that_does_not_fit_is_told_before_the_first_byte(
    sample: Sample, sandbox: Sandbox, tmp_path: Path
) -> None:
    with mounted(tmp_path / "small", "-t", "tmpfs", "-o", "size=4m", "tmpfs") as disk:
        target = disk / "bundle.tar"
        ran = sandbox.bundle("-o", str(target))
        refuse(ran, f"{disk}: {sample.layout.size:,} bytes are needed, 4,194,304 are free")
        assert ran.requests == ()
        assert list(disk.iterdir()) == []
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        goes_on(sample, sandbox, target)


@root
@pytest.mark.campaign
def test_a_disk_that_fills_up_meanwhile(sample: Sample, sandbox: Sandbox, tmp_path: Path) -> None:
    size = sample.layout.size + (256 << 10)  # the account of sources needs some
    with mounted(tmp_path / "small", "-t", "tmpfs", "-o", f"size={size}", "tmpfs") as disk:
        target = disk / "bundle.tar"
        sandbox.upstream.faults.add(SLOWLY)
        with sandbox.start("bundle", "cluster.lock", "-o", str(target)) as process:
            await_(lambda: len(finished(target)) > 3)
            filler = fill(disk)
            ran = sandbox.end(process)
        # the bundle has its space since the beginning; the journal has not
        refuse(ran, "bundle.tar.journal: no space left on device", "whatever was fetched is kept")
        assert len(finished(target)) > 3
        filler.unlink()
        goes_on(sample, sandbox, target)


@root
@pytest.mark.campaign
def test_a_file_system_that_cannot_reserve_space(
    sample: Sample, sandbox: Sandbox, tmp_path: Path
) -> None:
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(sample.layout.size + (16 << 20))
    subprocess.run(["mkfs.ext2", "-q", "-F", "-m", "0", image], check=True)
    with mounted(tmp_path / "small", "-o", "loop", str(image)) as disk:
        (disk / "lost+found").rmdir()
        target = disk / "bundle.tar"
        # enough for the bundle, and not for the blocks that say where its blocks are
        filler = fill(disk, leave=sample.layout.size + (16 << 10))
        ran = sandbox.bundle("-o", str(target))
        refuse(ran, "bundle.tar.part: no space left on device", "whatever was fetched is kept")
        assert ran.requests == ()
        assert {path.name for path in disk.iterdir()} == {"filler"}
        filler.unlink()
        goes_on(sample, sandbox, target)


@root
@pytest.mark.campaign
def test_locking_on_a_full_disk(
    sample: Sample, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Let the space end at many points of locking; with enough of it, the next run is right."""
    refused = 0
    with (
        mounted(tmp_path / "small", "-t", "tmpfs", "-o", "size=64m", "tmpfs") as disk,
        sample.sandbox(disk / "work", locked=False) as sandbox,
    ):
        sandbox.environment["TMPDIR"] = str(disk)
        for leave in (0, 16 << 10, 64 << 10, 128 << 10, 256 << 10, 512 << 10, 1 << 20):
            filler = fill(disk, leave)
            ran = sandbox.lock()
            filler.unlink()
            if ran.code:
                refused += 1
                refuse(ran, "o space left on device")
                half = [p for p in disk.rglob("*") if UNFINISHED.fullmatch(p.name)]
                assert half == [], f"left behind: {half}"
                assert "cluster.lock" not in sandbox.names
        ran = sandbox.lock()
        assert ran.code == 0, ran.err
        assert sandbox.lock_path.read_bytes() == (sample.folder / "cluster.lock").read_bytes()
    assert refused >= 3
    with capsys.disabled():
        print(f"\nlocking was refused {refused} times for want of space, then done")

"""The real commands on the embedded upstream, each in a process of its own.

A :class:`Sample` is made once: the lab's content, and a cluster that is locked and bundled.
A :class:`Sandbox` is one folder with one upstream, whose faults and requests belong to it alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from fault_lab.upstream import running_world

from builder.model.artifact import Blob
from builder.pipeline.lock_document import LockDocument

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from fault_lab.access_log import Served
    from fault_lab.upstream import FaultyUpstream

    from builder.bundle.layout import Extent, Layout
    from builder.model.lock import Lock

SCALE = 0.02
"""Of the real sizes: some 12 MB in some 110 members."""
AIRSEED = (sys.executable, "-m", "builder")
LEFT = {
    "cluster.yaml",
    "cluster.lock",
    "cluster.lock.d",
    "bundle.tar",
    "bundle.tar.provenance.json",
}
"""All that locking and bundling leave, once they are done."""
_OK = range(200, 207)
SILENCE = 4
"""Seconds after which a command drops a silent connection; more than a busy machine's pauses."""
_PATIENCE = 3 * 5 * 2 * SILENCE + 180
"""Seconds that no command takes, however slow the machine: three sources of one artifact are tried
five times each, twice the silence long where one drips its head."""
_STARTING = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """Hold what one command did."""

    code: int
    out: str
    err: str
    requests: tuple[Served, ...]
    """What it asked the upstream for."""

    @property
    def received(self) -> int:
        """Return the bytes of all bodies that it was sent."""
        return sum(one.sent for one in self.requests if one.status in _OK)

    @property
    def loaded(self) -> set[str]:
        """Return the modules that it imported; PYTHONPROFILEIMPORTTIME has it say so."""
        told = (line for line in self.err.splitlines() if line.startswith("import time:"))
        return {line.rpartition("|")[2].strip() for line in told}


@dataclass
class Sandbox:
    """Run commands in one folder against one upstream."""

    upstream: FaultyUpstream
    folder: Path
    catalog: Path
    environment: dict[str, str] = field(init=False)
    program: tuple[str, ...] = AIRSEED
    """What is run: this checkout, or an airseed that is installed elsewhere."""

    def __post_init__(self) -> None:
        home = self.folder.parent / f"{self.folder.name}-home"
        home.mkdir(exist_ok=True)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "XDG_CACHE_HOME": str(home),
            "AIRSEED_TIMEOUT": str(SILENCE),
            **self.upstream.environment,
        }

    @property
    def lock_path(self) -> Path:
        return self.folder / "cluster.lock"

    @property
    def bundle_path(self) -> Path:
        return self.folder / "bundle.tar"

    @property
    def names(self) -> set[str]:
        """Return the names in the folder."""
        return {path.name for path in self.folder.iterdir()}

    def lock(self, *words: str) -> Ran:
        return self.run("lock", "cluster.yaml", "--catalog", str(self.catalog), *words)

    def bundle(self, *words: str) -> Ran:
        return self.run("bundle", "cluster.lock", *words)

    def run(self, *words: str, **how: Any) -> Ran:
        """Run one command to its end."""
        with self.start(*words, **how) as process:
            return self.end(process)

    def start(self, *words: str, before: int | None = None, prefix: Iterable[str] = ()) -> Process:
        """Begin a command; ``prefix`` are the words of a program that runs it."""
        return Process(
            [*prefix, *self.program, *words],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            before=len(self.upstream.requests) if before is None else before,
        )

    def end(self, process: Process) -> Ran:
        """Wait for a command."""
        out, err = process.communicate(timeout=_PATIENCE)
        # the requests of one sandbox are counted by place, not cleared: others may still run
        requests = self.upstream.requests[process.before :]
        return Ran(code=process.returncode, out=out, err=err, requests=requests)


class Process(subprocess.Popen[str]):
    """Remember how many requests there were before it; killed when it is let go of."""

    def __init__(self, words: list[str], *, before: int, **how: Any) -> None:
        super().__init__(words, **how)
        self.before = before

    def __exit__(self, *about: Any) -> None:  # noqa: PYI036 -- Popen has other words for three objects
        if self.poll() is None:
            self.kill()
        super().__exit__(*about)


@dataclass(frozen=True)
class Sample:
    """Hold the lab's content and a cluster with its bundle, to open sandboxes from."""

    lab: Path
    folder: Path
    """A folder with cluster.yaml, cluster.lock, cluster.lock.d and bundle.tar."""
    lock: Lock
    layout: Layout

    @classmethod
    def build(cls, folder: Path) -> Sample:
        """Lock and bundle the cluster of the walkthrough, without faults."""
        finished = folder / "finished"
        finished.mkdir()
        with _sandbox(folder / "lab", finished) as sandbox:
            for words in (
                ("init", "--example", "ha"),
                ("lock", "cluster.yaml", "--catalog", str(sandbox.catalog)),
                ("bundle", "cluster.lock"),
            ):
                ran = sandbox.run(*words)
                assert ran.code == 0, ran.err
        document = LockDocument.read(finished / "cluster.lock")
        return cls(folder / "lab", finished, document.lock, document.layout)

    @property
    def bundle(self) -> Path:
        return self.folder / "bundle.tar"

    @property
    def blobs(self) -> list[Extent]:
        """Return what comes over the network when bundling, largest first."""
        fetched = [e for e in self.layout.fetched if not getattr(e.content, "kept", False)]
        return sorted(fetched, key=lambda extent: -extent.size)

    @contextmanager
    def sandbox(self, folder: Path, *, locked: bool = True, seed: int = 0) -> Iterator[Sandbox]:
        """Open a sandbox with a cluster.yaml, and its lock unless ``locked`` is false."""
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.folder / "cluster.yaml", folder)
        if locked:
            shutil.copy(self.folder / "cluster.lock", folder)
            shutil.copytree(self.folder / "cluster.lock.d", folder / "cluster.lock.d")
        with _sandbox(self.lab, folder, seed=seed) as sandbox:
            yield sandbox

    def is_right(self, sandbox: Sandbox) -> bool:
        """Tell whether the sandbox's bundle is the finished one, byte for byte."""
        return sandbox.bundle_path.read_bytes() == self.bundle.read_bytes()


@contextmanager
def _sandbox(lab: Path, folder: Path, *, seed: int = 0) -> Iterator[Sandbox]:
    catalog = folder.parent / f"{folder.name}-catalog"
    with _STARTING:  # starting writes the overlay anew, which others may be reading
        running = running_world(lab, scale=SCALE, seed=seed)
        upstream = running.__enter__()
        shutil.copytree(upstream.catalog, catalog, dirs_exist_ok=True)
    try:
        yield Sandbox(upstream, folder, catalog)
    finally:
        running.__exit__(None, None, None)


def bytes_for(extent: Extent, requests: Iterable[Served]) -> int:
    """Count the bytes of an artifact that were sent, from whichever source."""
    content = extent.content
    if isinstance(content, bytes):
        return 0
    if isinstance(content, Blob):
        return sum(
            one.sent
            for one in requests
            if one.status in {200, 206} and content.digest.hex in one.path
        )
    paths = {unquote(urlsplit(url).path) for url in content.sources}
    return sum(one.sent for one in requests if one.status in {200, 206} and one.path in paths)


def blame(ran: Ran, *names: str) -> list[str]:
    """Return what is wrong with how a failed command explains itself; it should name ``names``."""
    wrong = []
    if ran.code != 1:
        wrong.append(f"exit code {ran.code}")
    errors = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    if len(errors) != 1:
        wrong.append(f"{len(errors)} errors")
    if "Traceback" in ran.err or "bug in airseed" in ran.err:
        wrong.append("a traceback")
    if "hint: " not in ran.err:
        wrong.append("no hint")
    wrong += [f"{name} is not named" for name in names if name not in ran.err]
    return [f"{fault}:\n{ran.err}" for fault in wrong]

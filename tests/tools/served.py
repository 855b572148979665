"""``airseed serve`` as a process of its own, and bundles that are too large to be made."""

from __future__ import annotations

import hashlib
import os
import re
import resource
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from builder.bundle.reader import TarBundle
from builder.formats import lock as lock_format
from builder.model.artifact import File
from builder.model.digest import Digest
from builder.pipeline.lock_document import LockDocument

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandboxes import Sample

_READY = re.compile(r"^serving .* at https?://(\S+):([0-9]+)/$", re.MULTILINE)


@dataclass
class Server:
    """Hold a running server."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text("utf-8", "replace")

    @property
    def cpu(self) -> float:
        """Return the seconds of processor time that it has taken."""
        words = Path(f"/proc/{self.process.pid}/stat").read_text("ascii").rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def memory(self) -> int:
        """Return the bytes that it has in memory and shares with nobody."""
        text = Path(f"/proc/{self.process.pid}/status").read_text("ascii")
        return int(text.split("VmRSS:")[1].split()[0]) * 1024


@contextmanager
def serving(folder: Path, *words: str | Path) -> Iterator[Server]:
    """Run the real verb until it is ready; it must end well and without a traceback."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 8192)), hard))
    log = folder / "serve.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "builder", "serve", "--listen", "127.0.0.1:0", *map(str, words)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=file,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    try:
        while not (ready := _READY.search(log.read_text("utf-8"))):
            assert process.poll() is None, log.read_text("utf-8")
            os.sched_yield()
        yield Server(int(ready[2]), process, log)
        assert process.poll() is None
        process.terminate()
        assert process.wait(120) == 0
        assert "Traceback" not in log.read_text("utf-8", "replace")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def sparse_bundle(sample: Sample, target: Path, *, size: int, count: int) -> None:
    """Make a bundle of so many files more that takes no room; their digests are wrong."""
    digests = [Digest.of(str(number).encode()) for number in range(count)]
    _write(sample, target, [(digest, size // count) for digest in digests], [])


def bundle_with(sample: Sample, target: Path, files: list[Path]) -> list[str]:
    """Make a bundle with files more, at files/large/0 and so on; return their digests."""
    found = []
    for path in files:
        with path.open("rb") as file:
            digest = Digest(hashlib.file_digest(file, "sha256").hexdigest())
        found.append((digest, path.stat().st_size))
    _write(sample, target, found, files)
    return [str(digest) for digest, _ in found]


def _write(
    sample: Sample, target: Path, sizes: list[tuple[Digest, int]], contents: list[Path]
) -> None:
    files = tuple(
        File(
            kind="file",
            path=f"files/large/{number}",
            digest=digest,
            size=size,
            sources=(f"http://files.example.org/{number}",),
            needed_by=("extra",),
            trust="pinned",
        )
        for number, (digest, size) in enumerate(sizes)
    )
    lock = replace(sample.lock, files=(*sample.lock.files, *files))
    with TarBundle(sample.bundle) as whole, target.open("wb") as file:
        document = LockDocument(path=target, content=lock_format.write(lock), bundle=whole)
        layout = document.layout
        file.truncate(layout.size)
        for piece in layout.frame():
            file.seek(piece.offset)
            file.write(piece.content)
        for extent in layout.extents:
            if not isinstance(extent.content, bytes) and extent.path in whole.members():
                file.seek(extent.offset)
                file.write(whole.read(extent.path, 1 << 30))
        for number, path in enumerate(contents):
            file.seek(layout.extent(f"files/large/{number}").offset)
            file.write(path.read_bytes())

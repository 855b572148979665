"""Make a lock with its content by seed, serve it from the lab, and break what was made of it.

Shared by the tests of the bundle and the campaigns. Run as a program, it is one airseed that a
test can kill: ``python bundles.py SEED SCALE TARGET NAME=ADDRESS…``.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from subjects import AMD64, SUBJECT

from builder.backoff import Backoff
from builder.bundle import journal, layout
from builder.bundle.delta import reduced
from builder.bundle.existing import journal_path, part_path
from builder.bundle.policy import Policy
from builder.bundle.reader import open_bundle
from builder.bundle.source import Supply
from builder.bundle.verify import verify_bundle
from builder.bundle.writer import write
from builder.formats import lock as lock_format
from builder.http import Client
from builder.model.artifact import Blob, File, Image, ImageManifest, Package, Repository
from builder.model.digest import Digest
from builder.model.lock import Lock
from builder.model.reference import Reference
from builder.model.rpm import Nevra
from builder.report import Silent
from builder.sources.file import web

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fault_lab.upstream import FaultyUpstream

    from builder.bundle.layout import Extent, Layout

HOSTS = ("a.example.org", "b.example.org")
QUICK = Policy(
    workers=4, backoff=Backoff(attempts=3, first=0.01, longest=0.05), patience=3.0, tick=0.02
)
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_KEY = "A" * 40


def plan(content: bytes, delta: bytes | None = None) -> Layout:
    """Lay out a bundle from the text of its lock, as the pipeline does."""
    lock = lock_format.parse(content.decode("utf-8", "replace"), "cluster.lock")
    names = "".join(f"{image.name}\n" for image in lock.images).encode()
    made = layout.plan(lock, content, {"images/index.json": names})
    return made if delta is None else reduced(made, delta)


@dataclass
class Origin:
    """Hold made-up artifacts: one of each kind, an empty file, and two with the same bytes.

    ``scale`` is the size of the largest in bytes.
    """

    seed: int = 0
    scale: int = 1 << 16
    contents: dict[str, bytes] = field(default_factory=dict)
    """By path in the bundle."""
    lock: Lock = field(init=False)

    def __post_init__(self) -> None:
        self._dice = random.Random(self.seed)
        layers = [self._blob(_LAYER, self.scale // (n + 1) + n) for n in range(6)]
        config, manifest = self._blob(_CONFIG, 700), self._blob(_MANIFEST, 512)
        packages = [self._package(f"tool{n}", self.scale // 8 + 511 * n) for n in range(4)]
        files = [
            self._file("key", "keys/site.asc", self._dice.randbytes(900), fingerprint=_KEY),
            self._file("manifest", "manifests/calico.yaml", self._dice.randbytes(3000)),
            self._file("repodata", "yum/base/repodata/repomd.xml", self._dice.randbytes(1024)),
            self._file("file", "files/empty", b""),
            self._file("file", f"files/{'deep/' * 30}x.bin", self._dice.randbytes(2000)),
            self._file("file", "files/twin", self.contents[layers[2].path]),
        ]
        image = Image(
            reference=Reference.parse("registry.example.org/app:1"),
            digest=manifest.digest,
            size=manifest.size,
            media_type=_MANIFEST,
            sources=("registry.example.org/app:1",),
            manifests=(
                ImageManifest(
                    platform=AMD64,
                    digest=manifest.digest,
                    config=config.digest,
                    layers=tuple(layer.digest for layer in layers),
                ),
            ),
            roles=("worker",),
            needed_by=("extra",),
        )
        repository = Repository(
            name="base", sources=(), digest=Digest.of(b""), size=0, keys=(_KEY,), signed=False
        )
        self.lock = Lock(
            subject=SUBJECT,
            images=(image,),
            blobs=tuple(sorted([*layers, config, manifest], key=lambda blob: blob.name)),
            repositories=(repository,),
            packages=tuple(packages),
            files=tuple(sorted(files, key=lambda file: file.name)),
        )

    @property
    def layout(self) -> Layout:
        return plan(lock_format.write(self.lock))

    def serve(self, upstream: FaultyUpstream) -> dict[str, str]:
        """Serve everything at both hosts; return the loopback address of each."""
        for host in HOSTS:
            for content in self.contents.values():
                upstream.add_file(f"http://{host}/{Digest.of(content).hex}", content)
        return {host: upstream.listen(host) for host in HOSTS}

    def content(self, extent: Extent) -> bytes:
        return self.contents[extent.path]

    def _blob(self, media_type: str, size: int) -> Blob:
        content = self._dice.randbytes(size)
        blob = Blob(
            digest=Digest.of(content),
            size=size,
            media_type=media_type,
            sources=("registry.example.org/app",),
        )
        self.contents[blob.path] = content
        return blob

    def _package(self, name: str, size: int) -> Package:
        content = self._dice.randbytes(size)
        package = Package(
            nevra=Nevra.parse(f"{name}-1.0-1.x86_64"),
            repository="base",
            digest=Digest.of(content),
            size=size,
            sources=_urls(content),
            keys=(_KEY,),
            requested=True,
            needed_by=("extra",),
        )
        self.contents[package.path] = content
        return package

    def _file(self, kind: str, path: str, content: bytes, **rest: Any) -> File:
        self.contents[path] = content
        return File(
            kind=kind,  # type: ignore[arg-type]
            path=path,
            digest=Digest.of(content),
            size=len(content),
            sources=() if kind == "repodata" else _urls(content),
            **rest,
        )


def _urls(content: bytes) -> tuple[str, ...]:
    return tuple(f"http://{host}/{Digest.of(content).hex}" for host in HOSTS)


def supplier(client: Client, addresses: Mapping[str, str]) -> Callable[[Extent], Supply]:
    """Return what asks the served hosts in order, on loopback."""

    def supply(extent: Extent) -> Supply:
        urls = [f"http://{address}/{extent.digest.hex}" for address in addresses.values()]
        return Supply(sources=tuple(web(client, url, extent.size) for url in urls))

    return supply


def region_of(made: Layout, offset: int) -> str:
    """Name what a byte of the tar belongs to, in the words of faults."""
    for extent in made.extents:
        if extent.header <= offset < extent.end:
            return extent.path
    return "end of the file"


def missed_flips(path: Path, seed: int, count: int) -> list[str]:
    """Flip one bit of a bundle at a time; tell of every one that was not found and named.

    Places are drawn by region first (headers, paddings, small and large members alike), so that
    the large ones don't get them all. The file is as it was afterwards.
    """
    with open_bundle(path) as bundle:
        there = "DELTA.txt" in bundle.members()
        text = bundle.read("DELTA.txt", 1 << 20) if there else None
        made = plan(bundle.read("cluster.lock", 1 << 20), text)
    dice = random.Random(seed)
    spans = [(e.header, e.offset) for e in made.extents]
    spans += [(e.offset, e.offset + e.size) for e in made.extents if e.size]
    spans += [(e.offset + e.size, e.end) for e in made.extents if e.offset + e.size < e.end]
    spans += [(made.extents[-1].end, made.size)]
    lock = made.extent("cluster.lock")
    spans += [(lock.offset, lock.offset + lock.size)] * (len(spans) // 5)
    missed = []
    with path.open("r+b", buffering=0) as file:
        for _ in range(count):
            place, bit = dice.randrange(*dice.choice(spans)), dice.randrange(8)
            expected = region_of(made, place)
            _flip(file, place, bit)
            try:
                with open_bundle(path) as bundle:
                    found = verify_bundle(bundle, plan, Silent()).faults
            finally:
                _flip(file, place, bit)
            if {fault.where for fault in found} - {"cluster.lock"} != {expected} - {"cluster.lock"}:
                missed.append(f"byte {place} bit {bit} ({expected}): {[str(f) for f in found]}")
            elif not found:
                missed.append(f"byte {place} bit {bit} ({expected}): nothing found")
            elif expected != "cluster.lock" and any(f.where == "cluster.lock" for f in found):
                missed.append(f"byte {place} bit {bit} ({expected}): the lock was blamed, too")
    return missed


def _flip(file: object, place: int, bit: int) -> None:
    file.seek(place)  # type: ignore[attr-defined]
    byte = file.read(1)[0]  # type: ignore[attr-defined]
    file.seek(place)  # type: ignore[attr-defined]
    file.write(bytes([byte ^ 1 << bit]))  # type: ignore[attr-defined]


def killed_run(origin: Origin, addresses: Mapping[str, str], target: Path, after: float) -> bool:
    """Run airseed in a process of its own and kill it ``after`` seconds of work.

    Tell whether it was killed in time; its exit code must be 0 otherwise.
    """
    words = [f"{name}={address}" for name, address in addresses.items()]
    with subprocess.Popen(
        [sys.executable, __file__, str(origin.seed), str(origin.scale), str(target), *words],
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.read(1) == b"!"
        time.sleep(after)
        process.send_signal(signal.SIGKILL)
    assert process.returncode in {0, -signal.SIGKILL}
    return process.returncode != 0


def finished_paths(target: Path) -> set[str]:
    """Return what the journal of an unfinished bundle calls done."""
    return {path for path, claim in journal.read(journal_path(target)).claims.items() if claim.done}


def leftovers(target: Path) -> list[str]:
    """Return the names in the target's folder, but the target's own."""
    return sorted(path.name for path in target.parent.iterdir() if path != target)


def _main() -> None:
    seed, scale, target, *words = sys.argv[1:]
    addresses = dict(word.split("=", 1) for word in words)
    made = Origin(int(seed), int(scale)).layout
    with Client() as client:
        sys.stdout.write("!")
        sys.stdout.flush()
        write(made, Path(target), supplier(client, addresses), Silent(), policy=QUICK)


if __name__ == "__main__":
    _main()
else:
    __all__ = [
        "HOSTS",
        "QUICK",
        "Origin",
        "finished_paths",
        "killed_run",
        "leftovers",
        "missed_flips",
        "part_path",
        "plan",
        "region_of",
        "supplier",
    ]

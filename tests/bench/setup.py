"""What is measured: images, RPMs and files on real servers, and locks that name them."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from interop.programs import environment
from interop.upstream import SITE, RealUpstream, real_upstream

from bench import thousands
from bench.timing import FailedError, Took, run
from builder.formats import lock as lock_format
from builder.model.artifact import File
from builder.model.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from builder.model.lock import Lock

AIRSEED = Path(sys.executable).with_name("airseed")
IMAGES = 2.85
"""Of the real sizes: some 1.2 GB in 17 images."""
PACKAGES = 0.25
"""Of the real sizes: some 40 MB in 44 RPMs."""
FOUR_GB = 4 * 10**9
_PIECE = 64 << 20
UNSAFE = "AIRSEED_BENCH_WITHOUT_SYNC"
_EXTRA = f"""
extra:
  images: [{SITE}/tool:1, {SITE}/lone:1, {SITE}/old:1, {SITE}/web:1]
"""


@dataclass
class Setup:
    """Hold folders and servers; all that is measured happens in ``work``."""

    upstream: RealUpstream
    folder: Path

    def __post_init__(self) -> None:
        self.work = self.folder / "work"
        self.home = self.folder / "home"
        for folder in (self.work, self.home):
            folder.mkdir()
        (self.home / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        self.env = environment(
            self.home,
            AIRSEED_CA_BUNDLE=str(self.upstream.servers.ca),
            XDG_CACHE_HOME=str(self.home / "cache"),
            DOCKER_CONFIG=str(self.home),
        )

    def airseed(self, *words: str | Path, sync: bool = True) -> Took:
        """Run airseed as a user would, with its own way of waiting for the disk or without."""
        env = self.env if sync else {**self.env, UNSAFE: "1"}
        return self.run(AIRSEED, *words, env=env)

    def run(self, *words: str | Path, env: dict[str, str] | None = None) -> Took:
        return run(words, env=env or self.env, folder=self.work, log=self.folder / "log")

    def prepare(self) -> None:
        """Lock the walkthrough's cluster with a few images more, and make other locks of that."""
        self.airseed("-q", "init", "--example", "ha", "ha.yaml")
        text = (self.work / "ha.yaml").read_text("utf-8")
        (self.work / "all.yaml").write_text(text + _EXTRA, "utf-8")
        self.lock("all.yaml")
        lock = self.read("all.lock")
        alone = replace(lock, packages=(), repositories=(), files=())
        self._write("images", alone)
        self._write("large", replace(alone, files=self._files(FOUR_GB - _size(alone))))
        for name in ("images.lock.d", "large.lock.d"):
            (self.work / name).symlink_to("all.lock.d")
        fetched = [one for one in lock.blobs if not one.kept]
        web = self.work / "urls"
        web.write_text(
            "".join(f"-o {number} {url}\n" for number, url in enumerate(_urls(fetched, lock))),
            "utf-8",
        )
        (self.work / "sync.json").write_text(json.dumps(self._sync(alone)), "utf-8")  # JSON is YAML
        thousands.build(self.upstream.www / "thousands")

    def lock(self, cluster: str) -> Took:
        return self.airseed("-q", "lock", cluster, "--catalog", self.upstream.catalog)

    def read(self, name: str) -> Lock:
        return lock_format.parse((self.work / name).read_text("utf-8"), name)

    @property
    def references(self) -> list[str]:
        """Return the images as the registry has them."""
        return [image.sources[0] for image in self.read("images.lock").images]

    def _write(self, name: str, lock: Lock) -> None:
        (self.work / f"{name}.lock").write_bytes(lock_format.write(lock))

    def _files(self, size: int) -> tuple[File, ...]:
        """Serve files of so many bytes together, which take no room and differ in a few bytes."""
        folder = self.upstream.www / "large"
        folder.mkdir()
        found = []
        for number in range(size // _PIECE + 1):
            path = folder / str(number)
            with path.open("wb") as file:
                file.write(f"{number}\n".encode())
                file.truncate(_PIECE)
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            found.append(
                File(
                    kind="file",
                    path=f"files/large/{number}",
                    digest=Digest(digest),
                    size=_PIECE,
                    sources=(f"{self.upstream.servers.plain}/large/{number}",),
                    needed_by=("extra",),
                    trust="pinned",
                )
            )
        return tuple(found)

    def _sync(self, lock: Lock) -> object:
        """Say which images skopeo is to copy."""
        images: dict[str, list[str]] = {}
        for image in lock.images:
            path, _, tag = image.sources[0].partition("/")[2].rpartition(":")
            images.setdefault(path, []).append(tag)
        return {self.upstream.servers.registry: {"tls-verify": False, "images": images}}


def _urls(blobs: Sequence[object], lock: Lock) -> Iterator[str]:
    """Return the URL of everything that a bundle fetches."""
    for blob in lock.blobs:
        if blob in blobs:
            host, _, path = blob.sources[0].partition("/")
            yield f"http://{host}/v2/{path}/blobs/{blob.digest}"
    for package in lock.packages:
        yield package.sources[0]


def _size(lock: Lock) -> int:
    return sum(blob.size for blob in lock.blobs)


@contextmanager
def setup(folder: Path) -> Iterator[Setup]:
    """Build and serve it all; raise FailedError without the programs that are compared with."""
    os.umask(0o022)
    with real_upstream(
        folder / "upstream", images=IMAGES, packages=PACKAGES, guarded=False
    ) as made:
        ready = Setup(made, folder)
        ready.prepare()
        if len(ready.references) < 15:
            raise FailedError(f"only {len(ready.references)} images")
        yield ready

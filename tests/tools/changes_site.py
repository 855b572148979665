"""A cluster that was seeded: what ``airseed changes`` says of it, and what its scripts lay down."""

from __future__ import annotations

import base64
import json
import re
import shlex
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from builder.cli.root import run
from builder.pipeline import secrets, seeds
from builder.pipeline.workspace import Workspace
from builder.report import Silent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sandboxes import Sample, Sandbox

NODES = ("k8s01", "k8s02", "k8s03", "k8s04", "k8s05")
_LAID = re.compile(
    r"^lay(?P<coded>64)? [0-7]+ (?P<name>\S+ \S+) <<'(?P<end>\w+)'\n(?P<body>.*?)^(?P=end)$",
    re.DOTALL | re.MULTILINE,
)
"""A here-document of a script, whole: what looks like one inside of it is none."""


@dataclass(frozen=True)
class Site:
    """Hold the folder of a cluster."""

    folder: Path
    catalog: Path

    @property
    def cluster(self) -> Path:
        return self.folder / "cluster.yaml"

    def seeds(self, **how: Any) -> seeds.WrittenSeeds:
        workspace = Workspace(self.cluster, catalogs=[self.catalog])
        return seeds.write(workspace, reporter=Silent(), **how)

    def edit(self, old: str, new: str, *, times: int = -1) -> None:
        """Replace what is in cluster.yaml's text, everywhere unless ``times`` says how often."""
        text = self.cluster.read_text("utf-8")
        assert old in text
        self.cluster.write_text(text.replace(old, new, times), "utf-8")

    def edit_document(self, change: Callable[[dict[str, Any]], object]) -> None:
        document = yaml.safe_load(self.cluster.read_text("utf-8"))
        change(document)
        self.cluster.write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")

    def take(self, lock: Path) -> None:
        """Take another lock, with what it has beside it."""
        shutil.copy(lock, self.folder / "cluster.lock")
        shutil.copytree(f"{lock}.d", self.folder / "cluster.lock.d", dirs_exist_ok=True)

    def changes(self, *words: str) -> int:
        return run(["changes", str(self.cluster), "--catalog", str(self.catalog), *words])

    def script(self, change: str, node: str) -> str:
        """Read what a machine runs for a change."""
        return (self.folder / "changes" / change / f"{node}.sh").read_text("utf-8")


_Site = TypeVar("_Site", bound=Site)


def seeded(site: _Site, sample: Sample) -> _Site:
    """Seed the sample's cluster in the folder of a site."""
    shutil.copy(sample.folder / "cluster.yaml", site.cluster)
    site.take(sample.folder / "cluster.lock")
    secrets.make(Workspace(site.cluster))
    site.seeds()
    return site


def locked(shared: Sandbox, sample: Sample, folder: Path, old: str, new: str) -> Path:
    """Lock the sample's cluster with something else in its cluster.yaml."""
    text = (sample.folder / "cluster.yaml").read_text("utf-8")
    assert old in text
    (folder / "cluster.yaml").write_text(text.replace(old, new), "utf-8")
    ran = shared.run("lock", str(folder / "cluster.yaml"), "--catalog", str(shared.catalog))
    assert ran.code == 0, ran.err
    return folder / "cluster.lock"


def result(folder: Path, name: str, **said: str) -> None:
    """Write what a machine says of itself: that it is done, and what is ``said`` beside that."""
    value = {"format": 1, "node": name, "state": "done", **said}
    (folder / f"{name}.json").write_text(json.dumps(value))


def laid(script: str, name: str) -> str:
    """Return what a script lays down in the folder of the change, without its last newline."""
    (found,) = (one for one in _LAID.finditer(script) if one["name"] == f"change {name}")
    return _content(found).decode().removesuffix("\n")


def opened(script: str) -> str:
    """Return a script with what it lays down in base64 decoded, to look for secrets in it."""
    return _LAID.sub(
        lambda found: _content(found).decode(errors="replace") if found["coded"] else found[0],
        script,
    )


def values(script: str) -> dict[str, str]:
    """Return what a script has in the env file of its first stage, each name without AIRSEED_."""
    pairs = [line.partition("=") for line in shlex.split(laid(script, "1.env"))]
    found = {name.removeprefix("AIRSEED_"): value for name, _, value in pairs}
    assert len(found) == len(pairs), "a value is said twice"
    return found


def _content(found: re.Match[str]) -> bytes:
    return base64.b64decode(found["body"]) if found["coded"] else found["body"].encode()

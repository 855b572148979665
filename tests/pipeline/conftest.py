"""One upstream for all tests of a module; each test works in a folder of its own."""

from __future__ import annotations

import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pgp import Gpg
from sandboxes import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandboxes import Sample

SMALL = "kubernetes: 1.18.5\nnodes:\n  - {name: a, role: control-plane, address: 10.0.0.1}\n"


@dataclass(frozen=True)
class Site:
    """Open folders beside one running upstream."""

    sandbox: Sandbox
    folder: Path

    def open(self, more: str = "", *, name: str = "work") -> Sandbox:
        """Make a folder with the smallest cluster.yaml and ``more``."""
        place = self.folder / name
        place.mkdir()
        opened = Sandbox(self.sandbox.upstream, place, self.sandbox.catalog)
        # metadata of repositories that another test has read already is read no second time
        opened.environment["XDG_CACHE_HOME"] = self.sandbox.environment["XDG_CACHE_HOME"]
        (place / "cluster.yaml").write_text(SMALL + more, "utf-8")
        return opened


@pytest.fixture(scope="module")
def shared(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Run one upstream whose content nobody changes."""
    with sample.sandbox(tmp_path_factory.mktemp("shared") / "work") as opened:
        yield opened


@pytest.fixture
def site(shared: Sandbox, tmp_path: Path) -> Site:
    return Site(shared, tmp_path)


@pytest.fixture(scope="module")
def unpacked(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack the sample's bundle."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sample.bundle) as tar:
        tar.extractall(folder, filter="data")
    return folder


@pytest.fixture
def gpg() -> Iterator[Gpg]:
    # a short path: the agent's socket has to fit into one
    with tempfile.TemporaryDirectory(prefix="gpg-") as folder:
        opened = Gpg(Path(folder))
        yield opened
        opened.close()

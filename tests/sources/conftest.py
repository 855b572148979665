"""The lab's upstream, reached as users reach the world: by the environment's proxy and CA."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fault_lab.upstream import FaultyUpstream

from builder.sources.access import Access

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def lab_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lab")


@pytest.fixture
def upstream(
    lab_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FaultyUpstream]:
    with FaultyUpstream(lab_folder) as running:
        home = tmp_path / "home"
        home.mkdir()
        for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"):
            monkeypatch.delenv(name, raising=False)
        for name, value in {**running.environment, "HOME": str(home)}.items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def access(upstream: FaultyUpstream) -> Iterator[Access]:
    with Access.open() as opened:
        yield opened

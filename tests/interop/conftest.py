"""Real servers and one bundle from them, made once; ``setup.sh`` installs what it takes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from interop.engines import Engine, containerd, dockerd
from interop.programs import environment, missing
from interop.upstream import RealUpstream, real_upstream
from interop.workdir import Workdir

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def tools() -> None:
    """Fail, never skip, when a program is not there."""
    if names := missing():
        pytest.fail(f"not installed: {', '.join(names)}; run tests/interop/setup.sh", pytrace=False)


@pytest.fixture(scope="session")
def scratch(tools: None) -> Iterator[Path]:
    """Return a folder that is gone afterwards, whatever the tests leave in it."""
    with tempfile.TemporaryDirectory(prefix="airseed-interop-") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def real(scratch: Path) -> Iterator[RealUpstream]:
    """Serve everything that the cluster needs."""
    with real_upstream(scratch / "upstream") as made:
        yield made


@pytest.fixture(scope="session")
def workdir(real: RealUpstream, scratch: Path) -> Workdir:
    """Lock and bundle the cluster."""
    workdir = Workdir(real, scratch / "workdir")
    workdir.write("site-tool")
    return workdir.lock_and_bundle()


@pytest.fixture(scope="session")
def unpacked(workdir: Workdir) -> Path:
    return workdir.unpack()


@pytest.fixture(scope="session")
def env(real: RealUpstream, scratch: Path) -> dict[str, str]:
    """Return the environment of a tool that may read the registry."""
    home = scratch / "home"
    home.mkdir()
    login = real.servers.login
    return environment(
        home, DOCKER_CONFIG=str(login), REGISTRY_AUTH_FILE=str(login / "config.json")
    )


@pytest.fixture(scope="session")
def docker(scratch: Path) -> Iterator[Engine]:
    with dockerd() as engine:
        yield engine


@pytest.fixture(scope="session")
def ctr(scratch: Path) -> Iterator[Engine]:
    with containerd() as engine:
        yield engine

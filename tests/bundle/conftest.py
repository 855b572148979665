"""A served origin for each test, and a client on loopback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bundles
import pytest
from fault_lab.upstream import FaultyUpstream

from builder.bundle.writer import BundleResult, write
from builder.http import Client
from builder.report import Silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from builder.bundle.layout import Extent
    from builder.bundle.source import Supply


@pytest.fixture(scope="session")
def lab_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="session")
def origin() -> bundles.Origin:
    return bundles.Origin()


@pytest.fixture
def upstream(lab_folder: Path) -> Iterator[FaultyUpstream]:
    with FaultyUpstream(lab_folder) as running:
        yield running


@pytest.fixture
def client() -> Iterator[Client]:
    with Client(read_timeout=0.5) as made:
        yield made


@pytest.fixture
def supply(
    origin: bundles.Origin, upstream: FaultyUpstream, client: Client
) -> Callable[[Extent], Supply]:
    return bundles.supplier(client, origin.serve(upstream))


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder / "bundle.tar"


@pytest.fixture
def make(
    origin: bundles.Origin, supply: Callable[[Extent], Supply], target: Path
) -> Callable[..., BundleResult]:
    """Write the origin's bundle; keywords replace what is usual."""

    def run(**changes: Any) -> BundleResult:
        usual = {
            "layout": origin.layout,
            "target": target,
            "supply": supply,
            "reporter": Silent(),
            "policy": bundles.QUICK,
        }
        return write(**(usual | changes))

    return run


@pytest.fixture(scope="session")
def expected(
    origin: bundles.Origin, lab_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> bytes:
    """Return the bytes of the origin's bundle, put together by hand."""
    content = bytearray(origin.layout.size)
    for piece in origin.layout.frame():
        content[piece.offset : piece.offset + len(piece.content)] = piece.content
    for extent in origin.layout.fetched:
        content[extent.offset : extent.offset + extent.size] = origin.content(extent)
    return bytes(content)

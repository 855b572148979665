"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import sandboxes


os.environ.pop("COLUMNS", None)
"""A runner of tests sets it; whole messages are what tests compare."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--golden``, which writes golden files instead of comparing them."""
    parser.addoption("--golden", action="store_true", help="write the golden files anew")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with ``golden/NAME`` beside the test's file."""
    folder = Path(request.path).parent / "golden"

    def compare(name: str, text: str) -> None:
        file = folder / name
        if request.config.getoption("--golden"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        assert file.is_file(), f"{file} is missing: make golden"
        assert text == file.read_text(encoding="utf-8"), "read the difference, then: make golden"

    return compare


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> sandboxes.Sample:
    """Take a cluster the whole way, once for all tests of a process."""
    from sandboxes import Sample

    return Sample.build(tmp_path_factory.mktemp("sample"))


@pytest.fixture
def sandbox(sample: sandboxes.Sample, tmp_path: Path) -> Iterator[sandboxes.Sandbox]:
    """Open a sandbox with a locked cluster, and an upstream of its own."""
    with sample.sandbox(tmp_path / "work") as opened:
        yield opened

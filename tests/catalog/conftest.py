"""The shipped catalog, and the tables of the real upstreams where they are at hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from builder.assets import tree
from builder.formats import catalog as catalog_format

if TYPE_CHECKING:
    from builder.model.catalog import Catalog

UPSTREAM = Path(__file__).parents[2].parent / "shared" / "upstream"


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    """Read ``mirrors/`` with every cross-reference; a mistake in any file fails here."""
    return catalog_format.load()


@pytest.fixture(scope="session")
def mirrors() -> Path:
    return tree("mirrors")


@pytest.fixture(scope="session")
def upstream() -> Path:
    """Return the folder of documents as the real upstreams have them."""
    if not UPSTREAM.is_dir():
        pytest.skip("the documents of the real upstreams are not beside this checkout")
    return UPSTREAM

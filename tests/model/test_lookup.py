"""What the catalog names where it has not what was asked for."""

from __future__ import annotations

import pytest

from builder.model.catalog.lookup import nearest


@pytest.mark.parametrize(
    ("asked", "known", "said"),
    [
        ("7", ["7.9", "7.6"], "7.6 or 7.9"),
        ("7.7", ["7.9", "7.6"], "7.6 or 7.9"),
        ("8.5", ["7.9", "7.6"], "7.9"),
        ("1", ["10.2", "1.3"], "1.3"),
        ("docker-ce-19.03.9", ["19.03.0", "20.10.1", "26.1.4"], "19.03.0 or 20.10.1"),
        ("docker-ce", ["19.03.0", "20.10.1", "26.1.4"], "19.03.0 to 26.1.4"),
        ("latest", ["19.03.0"], "19.03.0"),
        ("latest", [], "nothing"),
    ],
)
def test_what_is_near(asked: str, known: list[str], said: str) -> None:
    assert nearest(asked, known) == said

"""The cache is the user's own: what is built is taken from it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from builder.errors import StorageError
from builder.sources import cache

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders away")
def test_another_users_cache_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = tmp_path / "airseed"
    assert cache.folder() == path
    path.mkdir()
    assert cache.folder() == path
    os.chown(path, 12345, 12345)
    with pytest.raises(StorageError) as caught:
        cache.folder()
    assert str(caught.value).startswith(f"{path}: the cache belongs to uid 12345")

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from builder.errors import StorageError, VerificationError
from builder.model.digest import Digest
from builder.sources.store import Store

if TYPE_CHECKING:
    from pathlib import Path


def test_content_is_found_by_its_digest(tmp_path: Path) -> None:
    store = Store(tmp_path / "kept")
    digest = store.put(b"hello")
    assert digest == Digest.of(b"hello")
    assert store.read(digest) == b"hello"
    assert store.has(digest, 5)
    assert not store.has(digest, 4)
    assert store.digests() == {digest}
    assert [path.name for path in store.folder.iterdir()] == [digest.hex]


def test_damaged_content_is_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    digest = store.put(b"hello")
    store.path(digest).write_bytes(b"jello")
    with pytest.raises(VerificationError) as caught:
        store.read(digest)
    assert str(caught.value) == (
        f"{tmp_path / digest.hex}: the content does not match the digest in the file's name"
        f" (expected {digest})"
    )
    assert store.find(digest) is None, "damaged content is dropped, to be fetched again"
    assert not store.has(digest)


def test_missing_content_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught:
        Store(tmp_path).read(Digest.of(b"hello"))
    assert caught.value.hint == (
        f"{tmp_path} belongs to the lock: copy it along with the lock, or run `airseed lock` to "
        "make it again"
    )
    assert Store(tmp_path).find(Digest.of(b"hello")) is None

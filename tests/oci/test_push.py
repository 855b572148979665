"""A blob on its way into a registry, over more than one run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from push_registry import PushRegistry, Quirks

from builder.model.digest import Digest
from builder.oci.blob_place import BlobPlace
from builder.oci.push import Pusher
from builder.oci.scope import Scope
from builder.oci.uploads import Uploads
from builder.sources.access import Access

if TYPE_CHECKING:
    from pathlib import Path

PIECE = 1 << 20


def place(access: Access, registry: PushRegistry, content: bytes, folder: Path) -> BlobPlace:
    """Begin as a run would that knows already to send chunks."""
    pusher = Pusher(access.connection)
    pusher.limits(registry.host).chunk = PIECE
    scope = Scope(host=registry.host, path="k8s/large", actions="pull,push")
    digest = Digest.of(content)
    return BlobPlace(pusher, scope, digest, len(content), uploads=Uploads(folder))


def write(into: BlobPlace, content: bytes, end: int) -> None:
    for at in range(0, end, PIECE):
        into.write(memoryview(content)[at : min(at + PIECE, end)], at)


def sent(registry: PushRegistry) -> int:
    return registry.count("PATCH")


def test_the_next_run_goes_on_inside_a_large_blob(tmp_path: Path) -> None:
    content = os.urandom(8 * PIECE + 100)
    folder = tmp_path / "uploads"
    with PushRegistry() as registry, Access.open() as access:
        write(place(access, registry, content, folder), content, 5 * PIECE)
        assert sent(registry) == 5
        (kept,) = folder.iterdir()
        assert kept.stat().st_mode & 0o777 == 0o600
        last = place(access, registry, content, folder)
        write(last, content, len(content))
        last.finish()
        assert sent(registry) == 9
        assert registry.blobs["k8s/large"] == {str(Digest.of(content))}
        assert list(folder.iterdir()) == []


def test_an_upload_that_the_registry_forgot_begins_anew(tmp_path: Path) -> None:
    content = os.urandom(3 * PIECE)
    with PushRegistry() as registry, Access.open() as access:
        write(place(access, registry, content, tmp_path), content, 2 * PIECE)
        registry.uploads.clear()
        last = place(access, registry, content, tmp_path)
        write(last, content, len(content))
        last.finish()
        assert registry.blobs["k8s/large"] == {str(Digest.of(content))}


def test_of_two_runs_one_takes_an_upload(tmp_path: Path) -> None:
    content = os.urandom(3 * PIECE)
    with PushRegistry(Quirks()) as registry, Access.open() as access:
        write(place(access, registry, content, tmp_path), content, PIECE)
        for one in (place(access, registry, content, tmp_path) for _ in range(2)):
            write(one, content, len(content))
            one.finish()
        assert len({path for method, path in registry.requests if method == "PATCH"}) == 2
        assert registry.blobs["k8s/large"] == {str(Digest.of(content))}

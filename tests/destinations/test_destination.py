"""What a destination gets: right bytes to the end, or an error before the end."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from builder.destinations.destination import Destination, Entry, VerifiedStream, deliver
from builder.errors import VerificationError
from builder.model.digest import Digest
from builder.report import Silent

CONTENT = bytes(range(256)) * 100


class Shelf(Destination):
    """Keep what is put, and show it when it is committed."""

    def __init__(self) -> None:
        self.put_so_far: dict[str, bytes] = {}
        self.shown: dict[str, bytes] = {}

    def put(self, entry: Entry, stream: VerifiedStream) -> None:
        content = b""
        while piece := stream.read(1000):
            content += piece
        self.put_so_far[entry.path] = content

    def commit(self) -> None:
        self.shown = self.put_so_far


def send(shelf: Shelf, *entries: Entry) -> None:
    with Silent().progress("x", None) as progress:
        deliver(entries, shelf, progress)


@pytest.mark.parametrize("wrong", [CONTENT[:-1], CONTENT[:-1] + b"x", b""])
def test_the_last_read_of_wrong_bytes_fails_and_nothing_is_committed(wrong: bytes) -> None:
    shelf = Shelf()
    entry = replace(Entry.of("a", CONTENT), name="old.tar: a", open=lambda: io.BytesIO(wrong))
    with pytest.raises(VerificationError) as caught:
        send(shelf, Entry.of("b", b"right"), entry)
    assert str(caught.value) == (
        f"old.tar: a: has the digest {Digest.of(wrong)} (expected {Digest.of(CONTENT)})"
    )
    assert caught.value.hint == "airseed verify finds all that is damaged"
    assert shelf.shown == {}
    assert "a" not in shelf.put_so_far


def test_bytes_behind_the_announced_size_are_not_sent() -> None:
    shelf = Shelf()
    send(shelf, replace(Entry.of("a", CONTENT), open=lambda: io.BytesIO(CONTENT + b"more")))
    assert shelf.shown == {"a": CONTENT}

"""What is asked of a place that keeps files by path: a folder, a WebDAV server, a bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from builder.bundle.place import Place

if TYPE_CHECKING:
    import io
    from collections.abc import Collection
    from pathlib import Path

    from builder.bundle.download import Wanted
    from builder.model.digest import Digest


class TreePlace(Place, Protocol):
    """Where the bytes of one file go."""

    def drop(self) -> None:
        """Take away what did not become a file."""
        ...


class Tree(Protocol):
    """Take files, each whole or not at all, from many threads; raise FetchError, StorageError."""

    name: str
    """What messages call it, without secrets."""
    url: str
    """Where clients find it."""

    def open(self, path: str) -> io.BufferedReader | None:
        """Open a file from its start; None where there is none."""
        ...

    def holds(self, path: str, digests: Collection[Digest], size: int | None, mark: str) -> bool:
        """Tell whether a file is there with one of these digests, and this size where given.

        It is read unless the place itself vouches for it; ``mark`` is what it said of the file
        when it was known to be right.
        """
        ...

    def mark(self, path: str) -> str:
        """Return what the place says of a file that was just put or found right: its ETag."""
        ...

    def place(self, wanted: Wanted, *, readable: bool) -> TreePlace:
        """Return where a file's bytes go; ``readable`` when they are read before they count."""
        ...

    def ready(self, paths: Collection[str], size: int, source: Path | None = None) -> None:
        """Clear away what killed runs left of these files; raise StorageError without room.

        They come from the folder ``source`` of this machine, if any: links take no room.
        """
        ...

    def adopt(self, wanted: Wanted, file: Path) -> bool:
        """Take a file of this machine as it is, without copying; tell whether that could be."""
        ...

    def put(self, path: str, content: bytes) -> None:
        """Put a small file, taking the place of an earlier one in one moment."""
        ...

    def settle(self) -> None:
        """Wait until all that was put lasts."""
        ...

    def remove(self, path: str) -> None: ...

"""Where an artifact's bytes go: its extent of the bundle's file, or something far away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import io

    from builder.bundle.layout import Extent
    from builder.bundle.part import Part
    from builder.errors import FetchError


class PlaceError(Exception):
    """Say that not the source failed, but the place that its bytes go to."""

    def __init__(self, error: FetchError) -> None:
        super().__init__(str(error))
        self.error = error


class Place(Protocol):
    """Take the bytes of one artifact, in order; used by one thread at a time.

    Every method raises StorageError, which ends everything, or FetchError, temporary or not.
    """

    host: str
    """Whose limits count beside the source's; empty for the local disk."""

    def write(self, view: memoryview, at: int) -> None:
        """Take bytes that stand ``at`` so many from the artifact's first.

        After an error the bytes may come again from 0; those that are there already are ignored.
        """
        ...

    @property
    def saved(self) -> int:
        """The bytes from the first on that an error later on does not take away."""
        ...

    def recover(self) -> int:
        """Find out, after an error, what of the bytes is there; it becomes ``saved``."""
        ...

    def readinto(self, view: memoryview, at: int) -> int:
        """Read back what an earlier run left; 0 where nothing can be read back."""
        ...

    def open(self) -> io.BufferedReader:
        """Open the finished artifact for reading."""
        ...

    def finish(self) -> None:
        """Make the bytes count: all are there, and their digest is right."""
        ...


class PartPlace:
    """One extent of the file under way."""

    host = ""
    saved = 0

    def __init__(self, part: Part, extent: Extent) -> None:
        self._part = part
        self._extent = extent

    def write(self, view: memoryview, at: int) -> None:
        self._part.write(view, self._extent.offset + at)

    def recover(self) -> int:
        return 0

    def readinto(self, view: memoryview, at: int) -> int:
        return self._part.readinto(view, self._extent.offset + at)

    def open(self) -> io.BufferedReader:
        return self._part.region(self._extent.offset, self._extent.size)

    def finish(self) -> None:
        """Do nothing: the bytes are where they belong."""

"""Earlier bundles as sources: what they hold by digest, hashed again while it is copied.

Bytes go through the buffer that is hashed, as those of a network do. ``copy_file_range`` would
save nothing: they have to be read for hashing anyway, and members begin at multiples of 512 bytes,
where no file system can share blocks.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from builder.bundle.examine import listed
from builder.bundle.reader import TarBundle
from builder.bundle.region import RegionSource
from builder.errors import FetchError

if TYPE_CHECKING:
    import io
    from collections.abc import Mapping

    from builder.bundle.download import Source
    from builder.bundle.reader import FolderBundle
    from builder.model.digest import Digest


def contents(
    bundle: TarBundle | FolderBundle, origins: Mapping[Digest, str] | None = None
) -> dict[Digest, Source]:
    """Give what a bundle holds by the digests that its SHA256SUMS says; nothing is hashed yet.

    ``origins`` says who gave it to that bundle, as far as that is known. The bundle must stay open.
    Raise VerificationError or StorageError.
    """
    members = bundle.members()
    # without its folder: it stands in the account of the new bundle, which is for everybody
    shown = bundle.path.name or bundle.path.absolute().name
    found: dict[Digest, Source] = {}
    for path, digest in listed(bundle).items():
        member = members.get(path)
        if member is None:  # a delta lacks some
            continue
        name = f"{bundle.path}: {path}"
        origin = (origins or {}).get(digest) or f"{shown}: {path}"
        if isinstance(bundle, TarBundle):
            found[digest] = RegionSource(
                name=name,
                files=bundle.files,
                start=member.offset,
                size=member.size,
                state="reused",
                origin=origin,
            )
        else:
            found[digest] = MemberSource(name=name, bundle=bundle, path=path, origin=origin)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberSource:
    """Give an artifact out of an unpacked bundle; see ``download.Source``."""

    name: str
    bundle: FolderBundle
    path: str
    origin: str = ""
    """Who gave it to that bundle, if it is known."""

    @property
    def host(self) -> str:
        """Give no host: a disk asks for no patience."""
        return ""

    @property
    def state(self) -> Literal["reused"]:
        """Say that it comes from an earlier bundle."""
        return "reused"

    def open(self, offset: int) -> _MemberStream:
        """Begin to read at an offset."""
        try:
            with ExitStack() as opened:
                file = opened.enter_context(self.bundle.raw(self.path))
                file.seek(offset)
                opened.pop_all()
        except OSError as error:
            raise FetchError(error.strerror or str(error), where=self.name) from error
        return _MemberStream(file, offset, self.name)


class _MemberStream:
    """Reads one file; see ``download.Stream``."""

    def __init__(self, file: io.BufferedReader, offset: int, name: str) -> None:
        self.offset = offset
        self._file = file
        self._name = name

    def readinto(self, view: memoryview, /) -> int:
        """Fill the buffer; give the count, 0 at the end."""
        try:
            return self._file.readinto(view)
        except OSError as error:
            raise FetchError(error.strerror or str(error), where=self._name) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()

"""Earlier bundles: what they hold by digest, hashed again while it is copied.

Bytes go through the buffer that is hashed, as those of a network do. ``copy_file_range`` would
save nothing: they have to be read for hashing anyway, and members begin at multiples of 512 bytes,
where no file system can share blocks.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from builder.bundle.checksums import listed
from builder.bundle.reader import TarBundle
from builder.bundle.region import Region
from builder.bundle.source import from_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from builder.bundle.reader import FolderBundle
    from builder.bundle.source import Source
    from builder.model.digest import Digest


def contents(
    bundle: TarBundle | FolderBundle, origins: Mapping[Digest, str] | None = None
) -> dict[Digest, Source]:
    """Return what a bundle holds by the digests that its SHA256SUMS says; nothing is hashed yet.

    ``origins`` says who gave it to that bundle, as far as that is known. The bundle must stay open.
    Raise VerificationError or StorageError.
    """
    members = bundle.members()
    # without its folder: it stands in the account of the new bundle, which is for everybody
    shown = bundle.path.name or bundle.path.absolute().name
    sources: dict[Digest, Source] = {}
    for path, digest in listed(bundle).items():
        member = members.get(path)
        if member is None:  # a delta lacks some
            continue
        sources[digest] = from_file(
            f"{bundle.path}: {path}",
            functools.partial(Region, bundle.files, member.offset, member.size)
            if isinstance(bundle, TarBundle)
            else functools.partial(bundle.raw, path),
            state="reused",
            origin=(origins or {}).get(digest) or f"{shown}: {path}",
        )
    return sources

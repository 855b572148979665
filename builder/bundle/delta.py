"""A delta: a bundle without what the other side has already, and a member that says what that is.

It is laid out as its whole bundle is, with ``DELTA.txt`` behind the lock and less behind that:
a function of (lock, what is left out, format) and nothing else. README.txt, cluster.lock and
SHA256SUMS are the whole bundle's, so a delta that is unpacked over the unpacked earlier bundle
makes the whole one, which SHA256SUMS proves and a node takes. Only what is large may be left out:
layers, packages, the user's files. With indexes, manifests, configurations and repodata a delta
can tell by itself what it belongs to.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from builder.bundle.layout import DELTA_PATH, lay_out
from builder.errors import Fault, IncompleteError, VerificationError
from builder.model.artifact import Blob, Package
from builder.model.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from builder.bundle.layout import Layout
    from builder.bundle.reader import FolderBundle, TarBundle
    from builder.errors import AirseedError
    from builder.model.artifact import Content

MAGIC = "airseed delta, format 1"
"""The first line of DELTA.txt; a node says by it what is wrong with its disk."""
_HEAD = f"""{MAGIC}

This bundle is not whole: the other side had the rest when it was made, as listed below. Unpack
it over the unpacked bundle that was there before ("tar -xf delta.tar" in its folder), then
"sha256sum --quiet -c SHA256SUMS" shows whether all is there. Or have airseed put both together:
"airseed bundle delta.tar --base OLD.tar -o bundle.tar".

"""


_HEX = re.compile(rb"[0-9a-f]{64}")
_PATH = re.compile(rb"  (\S[^\n]*)\n")


def may_be_left_out(content: Content) -> bool:
    if isinstance(content, Blob):
        return content.is_layer
    return isinstance(content, Package) or content.kind == "file"


_LEFT_OVER = re.compile(
    r"images/blobs/sha256/[0-9a-f]{64}|yum/[^/]+/Packages/[^/]+\.rpm|files/.+", re.DOTALL
)


def may_be_left_over(path: str) -> bool:
    """Return whether a file of an earlier bundle may lie where a delta was unpacked over it.

    Nothing finds such a file but by what names it: an image's index, repodata, a person. What is
    read because it lies there (manifests, keys, repodata, indexes) must be this bundle's.
    """
    return _LEFT_OVER.fullmatch(path) is not None


def without(layout: Layout, digests: Collection[Digest]) -> Layout:
    """Leave out what the other side has; the layout itself if that is nothing.

    ``digests`` may name anything; what cannot be left out, or is no part of it, stays.
    """
    left = tuple(
        extent.content
        for extent in layout.extents
        if not isinstance(extent.content, bytes)
        and extent.digest in digests
        and may_be_left_out(extent.content)
    )
    if not left:
        return layout
    gone = {content.path for content in left}
    members = [(e.path, e.content, e.digest) for e in layout.extents if e.path not in gone]
    text = describe(left)
    extents, size = lay_out([*members[:2], (DELTA_PATH, text, Digest.of(text)), *members[2:]])
    return replace(layout, extents=extents, size=size, delta=text, left_out=left, _by_path={})


def describe(left: Iterable[Content]) -> bytes:
    """Write DELTA.txt: what is left out, as SHA256SUMS lists it. Part of format 1."""
    lines = "".join(f"{content.digest.hex}  {content.path}\n" for content in left)
    return (_HEAD + lines).encode()


def reduced(layout: Layout, text: bytes) -> Layout:
    """Lay out a whole bundle's delta by its DELTA.txt, be that slightly damaged."""
    return without(layout, recover(layout, text))


def recover(layout: Layout, text: bytes) -> set[Digest]:
    """Tell what a whole bundle's delta leaves out, by its DELTA.txt, be that slightly damaged.

    Each line says it twice, by digest and by path; what comes of it is compared with the text
    byte for byte when the delta is verified.
    """
    digests, paths = listed(text), set(_PATH.findall(text))
    return {
        extent.digest
        for extent in layout.extents
        if extent.digest.hex.encode() in digests or extent.path.encode() in paths
    }


def listed(text: bytes) -> set[bytes]:
    """Return the digests (hex) that stand in a DELTA.txt."""
    return set(_HEX.findall(text))


def lacks(
    bundle: TarBundle | FolderBundle, paths: Iterable[str], what: str, *, hint: str
) -> AirseedError:
    """Return the error for members that are wanted and not there; only a delta may lack some."""
    where = str(bundle.path)
    if DELTA_PATH in bundle.members():
        faults = [Fault(where=path, what="is left out") for path in paths]
        return IncompleteError(what, where=where, hint=hint, faults=faults)
    faults = [Fault(where=path, what="is missing") for path in paths]
    return VerificationError("this is not a whole bundle", where=where, faults=faults)

"""SHA256SUMS, as far as it makes sense: a damaged one is read, too, to name what is wrong."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from builder.bundle.hashing import Item
from builder.bundle.layout import LOCK_PATH, SUMS_PATH, path_fault
from builder.errors import Fault
from builder.model.digest import Digest

if TYPE_CHECKING:
    from builder.bundle.reader import FolderBundle, TarBundle

LIMIT = 256 << 20


def listed(bundle: TarBundle | FolderBundle) -> dict[str, Digest]:
    """Return what SHA256SUMS says of each member, as far as it makes sense; nothing is hashed.

    Raise VerificationError or StorageError.
    """
    return entries(bundle.read(SUMS_PATH, LIMIT))[0]


def listed_items(bundle: TarBundle | FolderBundle) -> list[Item]:
    """Return what SHA256SUMS lists and the bundle has, to be hashed; raise as :func:`listed`."""
    members = bundle.members()
    return [
        Item(path=path, size=members[path].size, digest=digest, open=partial(bundle.open, path))
        for path, digest in listed(bundle).items()
        if path in members
    ]


def entries(sums: bytes) -> tuple[dict[str, Digest], list[Fault]]:
    """Read SHA256SUMS: digests by path, and the lines that make no sense."""
    digests: dict[str, Digest] = {}
    faults = []
    for number, line in enumerate(sums.decode("utf-8", "replace").split("\n")[:-1], 1):
        digest, _, path = line.partition("  ")
        try:
            if path_fault(path) is None:
                digests[path] = Digest.parse(f"sha256:{digest}")
                continue
        except ValueError:
            pass
        faults.append(Fault(where=SUMS_PATH, what=f"line {number} is damaged"))
    return digests, faults


def lock_digest(sums: bytes) -> str:
    """Return the lock's digest, of the second line, in hexadecimal; empty if it has none."""
    _, _, rest = sums.partition(b"\n")
    line, _, _ = rest.partition(b"\n")
    if not line.endswith(f"  {LOCK_PATH}".encode()):
        return ""
    return line[:64].decode("ascii", "replace")

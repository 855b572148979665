"""What repository metadata says of packages' licences and makers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.rpm.problems import plain
from builder.rpm.subset import read_packages

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Hold a package's own words, as its header has them."""

    licence: str
    vendor: str


def read_words(primary: Path, *, where: str, most: int) -> dict[str, Words]:
    """Give them by the RPM's SHA-256 (hex); ``primary`` may be compressed with gzip.

    Raise VerificationError when it can't be read, or lists more than ``most`` packages.
    """
    return {
        str(one.pkgId): Words(
            licence=plain(one.rpm_license or ""), vendor=plain(one.rpm_vendor or "")
        )
        for one in read_packages(primary, where, most=most)
    }

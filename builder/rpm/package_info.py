"""What repository metadata says of packages' licences and vendors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.rpm.problems import plain
from builder.rpm.subset import read_packages

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageInfo:
    licence: str
    vendor: str


def read_package_info(primary: Path, *, where: str, most: int) -> dict[str, PackageInfo]:
    """Return it by the RPM's SHA-256 (hex); ``primary`` may be compressed with gzip.

    Raise VerificationError when it can't be read, or lists more than ``most`` packages.
    """
    return {
        str(package.pkgId): PackageInfo(
            licence=plain(package.rpm_license or ""), vendor=plain(package.rpm_vendor or "")
        )
        for package in read_packages(primary, where, most=most)
    }

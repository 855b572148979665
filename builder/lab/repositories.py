"""yum repositories over made-up RPMs, in the form that EL7's yum reads.

The metadata is written by createrepo_c with gzip; hrefs may leave the repository's folder, as
those of Google's old repositories did (``../../pool/SHA256-NAME.rpm``).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from xml.sax.saxutils import escape

from builder.lab.openpgp import armour
from builder.lab.packages import BuiltPackage, PackageRecipe, build_package
from builder.rpm.createrepo import createrepo

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from builder.lab.build_cache import BuildCache
    from builder.lab.openpgp import VendorKey

_REVISION = 1593561600


Members = Mapping[str, "Sequence[str]"] | tuple[str, ...] | list[str]
Groups = Mapping[str, Members]
"""Names of packages by group, or by group and kind (``mandatory``, ``default``, ``optional``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryRecipe:
    packages: tuple[PackageRecipe, ...]
    groups: Groups | None = None
    """For comps.xml; None for a repository without groups."""
    pool: str | None = None
    """Folder of the RPMs as seen from the repository, such as ``../../pool/``; their names begin
    with their digest then. None for ``Packages/``."""
    signed: bool = False
    """Whether repomd.xml is signed (``repomd.xml.asc`` and ``repomd.xml.key``)."""


def build_repository(
    build_cache: BuildCache,
    recipe: RepositoryRecipe,
    *,
    key: VendorKey | None,
    metadata_key: VendorKey | None = None,
) -> dict[str, Path]:
    """Build a repository, or find it built; return its files by their path below its URL.

    ``key`` signs the RPMs, ``metadata_key`` (or else ``key``) the metadata. Paths may begin
    with ``../``.
    """
    signer = (metadata_key or key) if recipe.signed else None

    def make(folder: Path) -> dict[str, str]:
        packages = folder / "packages"
        packages.mkdir()
        built = [build_package(package, key, packages) for package in recipe.packages]
        places = {_href(package, recipe.pool): f"packages/{package.path.name}" for package in built}
        metadata = folder / "repodata"
        metadata.mkdir()
        _write_metadata(metadata, built, recipe)
        if signer:
            text = (metadata / "repomd.xml").read_bytes()
            (metadata / "repomd.xml.asc").write_bytes(armour("SIGNATURE", signer.sign(text)))
            (metadata / "repomd.xml.key").write_bytes(signer.public)
        return places | {
            f"repodata/{file.name}": f"repodata/{file.name}" for file in metadata.iterdir()
        }

    plain = {
        "packages": [asdict(package) for package in recipe.packages],
        "groups": recipe.groups,
        "pool": recipe.pool,
        "key": key and key.fingerprint,
        "metadata key": signer and signer.fingerprint,
    }
    folder, places = build_cache.get(["repository", plain], make)
    return {href: folder / place for href, place in places.items()}


def _href(package: BuiltPackage, pool: str | None) -> str:
    """Return the place of an RPM as primary.xml has it."""
    if pool is None:
        return f"Packages/{package.path.name}"
    return f"{pool}{package.sha256}-{package.path.name}"


def _write_metadata(folder: Path, packages: list[BuiltPackage], recipe: RepositoryRecipe) -> None:
    """Write primary, filelists, other and comps, and the repomd.xml over them."""
    cr = createrepo()
    kinds = {
        "primary": (cr.PrimaryXmlFile, cr.xml_dump_primary),
        "filelists": (cr.FilelistsXmlFile, cr.xml_dump_filelists),
        "other": (cr.OtherXmlFile, cr.xml_dump_other),
    }
    repomd = cr.Repomd()
    repomd.set_revision(str(_REVISION))
    described = [_describe(cr, package, recipe.pool) for package in packages]
    for kind, (writer, _) in kinds.items():
        path = folder / f"{kind}.xml.gz"
        file = writer(str(path), cr.GZ_COMPRESSION)
        file.set_num_of_pkgs(len(described))
        for package in described:
            file.add_pkg(package)
        file.close()
        _record(cr, repomd, kind, path)
    if recipe.groups is not None:
        path = folder / "comps.xml"
        path.write_text(comps(recipe.groups), "utf-8")
        _record(cr, repomd, "group", path)
    (folder / "repomd.xml").write_text(repomd.xml_dump(), "utf-8")


def _describe(cr: Any, package: BuiltPackage, pool: str | None) -> Any:
    value = cr.package_from_rpm(str(package.path), checksum_type=cr.SHA256)
    value.location_href = quote(_href(package, pool), safe="/+~^")
    return value


def _record(cr: Any, repomd: Any, kind: str, path: Path) -> None:
    """Enter a file into repomd.xml under a name that begins with its digest."""
    os.utime(path, (_REVISION, _REVISION))
    record = cr.RepomdRecord(kind, str(path))
    record.fill(cr.SHA256)
    record.timestamp = _REVISION
    record.rename_file()
    repomd.set_record(record)


def comps(groups: Groups) -> str:
    """Write comps.xml; where a group is a plain list, all of its packages are mandatory."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<comps>"]
    for name, members in groups.items():
        lines += ["  <group>", f"    <id>{escape(name)}</id>", f"    <name>{escape(name)}</name>"]
        lines += ["    <packagelist>"]
        kinds = members if isinstance(members, Mapping) else {"mandatory": members}
        lines += [
            f'      <packagereq type="{kind}">{escape(package)}</packagereq>'
            for kind, packages in kinds.items()
            for package in packages
        ]
        lines += ["    </packagelist>", "  </group>"]
    return "\n".join([*lines, "</comps>", ""])

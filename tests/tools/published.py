"""Programs as upstream publishes them, below a web server's folder, and a catalog that says so."""

from __future__ import annotations

import hashlib
import tarfile
from typing import TYPE_CHECKING

from builder.formats import catalog as catalog_format
from builder.model.platform import Platform
from builder.model.recipe import recipes
from builder.model.version import Version

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

AMD64 = Platform.parse("linux/amd64")


def publish(root: Path, base: str, catalog: Path, release: str, files: Mapping[str, Path]) -> None:
    """Show files below ``root``, which ``base`` serves, and write ``binaries/`` of a catalog.

    ``files`` are programs, or archives of some, by the catalog's names.
    """
    known = catalog_format.load()
    found = recipes(
        known, known.kubernetes(Version.parse(release)), known.os("centos", "7.6"), AMD64
    )
    for group, binaries in known.binaries.items():
        lines = [f"names: [{', '.join(binaries.programs)}]"]
        lines += ["sources:", f"  - {base}/$name/v$version/$arch/$name"]
        rows: dict[str, list[str]] = {}
        for recipe in found:
            for program in recipe.programs:
                if program.name in binaries.programs:
                    place = root / program.name / f"v{recipe.nevra.version}" / "amd64"
                    place.mkdir(parents=True)
                    (place / program.name).symlink_to(files[program.name].resolve())
                    row = f"      {program.name}: {_sha256(files[program.name])}"
                    rows.setdefault(recipe.nevra.version, []).append(row)
        lines += ["sha256:", "  amd64:"]
        for version, digests in rows.items():
            lines += [f"    {version}:", *digests]
        path = catalog / "binaries" / f"{group}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([*lines, ""]), "utf-8")


def pack(archive: Path, folder: Path) -> Path:
    """Write the programs of a folder into a gzip'd tar as upstream does."""
    with tarfile.open(archive, "w:gz", compresslevel=1) as opened:
        for path in sorted(folder.iterdir()):
            if not path.name.startswith("."):
                opened.add(path.resolve(), f"./{path.name}", recursive=False)
    return archive


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

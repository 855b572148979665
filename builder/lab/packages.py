"""Made-up RPMs under real names: V4, gzip payload, signed the way their owners sign."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import rpm_rs

from builder.lab.random_bytes import program, random_bytes
from builder.model.rpm import Nevra

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from builder.lab.openpgp import VendorKey

_BUILT = 1593561600
_DEPENDENCY = re.compile(r"(\S+)(?: (<=|>=|=|<|>) (\S+))?")
_FLAGS = rpm_rs.DependencyFlags
_COMPARISONS = {
    "<": _FLAGS.LESS,
    "<=": _FLAGS.LESS | _FLAGS.EQUAL,
    "=": _FLAGS.EQUAL,
    ">=": _FLAGS.GREATER | _FLAGS.EQUAL,
    ">": _FLAGS.GREATER,
}
_PROGRAM_FOLDERS = ("/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/", "/opt/cni/bin/")


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageRecipe:
    """Describe an RPM as it is to be made; dependencies read ``name [>= [epoch:]version]``."""

    nevra: str
    requires: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    obsoletes: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    """Absolute paths; programs where programs lie, words elsewhere."""
    size: int = 256
    """Bytes of filling, which no compressor makes smaller."""
    signed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltPackage:
    name: Nevra
    path: Path
    sha256: str


def build_package(recipe: PackageRecipe, key: VendorKey | None, folder: Path) -> BuiltPackage:
    """Build an RPM into a folder under its usual name; sign it with the key, if there is one."""
    name = Nevra.parse(recipe.nevra)
    package = _builder(recipe, name).build()
    if key and recipe.signed:
        package.apply_signature(key.sign(bytes(package.header_bytes())))
    content = bytes(package.to_bytes())
    path = folder / name.filename
    path.write_bytes(content)
    os.utime(path, (_BUILT, _BUILT))  # createrepo_c writes it down
    return BuiltPackage(name=name, path=path, sha256=hashlib.sha256(content).hexdigest())


def _builder(recipe: PackageRecipe, name: Nevra) -> Any:
    builder = rpm_rs.PackageBuilder(
        name.name, name.version, "ASL 2.0", name.arch, f"{name.name}, made up for airseed's lab"
    )
    builder.release(name.release)
    builder.using_config(
        rpm_rs.BuildConfig(
            format=rpm_rs.RpmFormat.V4,
            compression=rpm_rs.CompressionType.Gzip,
            compression_level=1,
            source_date=_BUILT,
        )
    )
    if name.epoch:
        builder.epoch(name.epoch)
    for path in recipe.files:
        is_program = path.startswith(_PROGRAM_FOLDERS)
        content = program("amd64" if name.arch == "x86_64" else name.arch) if is_program else b"lab"
        mode = 0o755 if is_program else 0o644
        builder.with_file_contents(content, rpm_rs.FileOptions.new(path, permissions=mode))
    document = f"/usr/share/doc/{name.name}-{name.version}/lab.{name.arch}"
    builder.with_file_contents(
        random_bytes(str(name), recipe.size), rpm_rs.FileOptions.new(document, permissions=0o644)
    )
    _add(builder.requires, recipe.requires)
    _add(builder.provides, recipe.provides)
    _add(builder.conflicts, recipe.conflicts)
    _add(builder.obsoletes, recipe.obsoletes)
    return builder


def _add(add: Callable[..., Any], dependencies: tuple[str, ...]) -> None:
    """Add dependencies with name, comparison and version apart, as rpm-rs wants them."""
    for text in dependencies:
        match = _DEPENDENCY.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not a dependency (like container-selinux >= 2:2.74)")
        name, comparison, version = match.groups()
        if comparison:
            add(name, version, _COMPARISONS[comparison])
        else:
            add(name)

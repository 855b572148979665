"""RPMs built by rpm-rs: V4 and gzip, which EL7 reads, and the same bytes every time.

Whatever could differ is fixed: times, owners, modes, order, the host's name. What is left is
rpm-rs itself, which writes its version into every package. Files are streamed from the disk; rpm-rs
holds the compressed payload of one package in memory until it is written.
"""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from builder.errors import StorageError, VerificationError
from builder.rpm.header import read_head, signature_tags, value
from builder.rpm.signature import load_rpm_rs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from builder.model.recipe import Order, PackedFile, Recipe

BUILT = 1577836800
"""Seconds since 1970: when every package and every file in it was made, for all that it says."""
_LEVEL = 6
_RSA_HEADER = 268
_HOST = "localhost"
_VENDOR = "airseed"
_PROGRAM, _TEXT, _FOLDER = 0o755, 0o644, 0o755
_COMPARISONS = {
    "<": ("LESS",),
    "<=": ("LESS", "EQUAL"),
    "=": ("EQUAL",),
    ">=": ("GREATER", "EQUAL"),
    ">": ("GREATER",),
}


def builder() -> str:
    """Name the builder with its version, which decides over the bytes."""
    return f"rpm-rs {version('rpm-rs')}"


def build(
    order: Order, places: Mapping[str, Path], target: Path, sign: Callable[[bytes], bytes]
) -> None:
    """Build and sign an RPM.

    ``places`` has the file for each path that comes out of a program or an archive; their times are
    set. ``sign`` gets the header, which has the payload's digest, and gives an OpenPGP signature.
    Raise StorageError when a file can't be read or the disk does not take it.
    """
    rpm_rs = load_rpm_rs()
    recipe = order.recipe
    made = rpm_rs.PackageBuilder(
        recipe.nevra.name, recipe.nevra.version, recipe.licence, recipe.nevra.arch, recipe.summary
    )
    made.using_config(
        rpm_rs.BuildConfig(
            format=rpm_rs.RpmFormat.V4,
            compression=rpm_rs.CompressionType.Gzip,
            compression_level=_LEVEL,
            source_date=BUILT,
        )
    )
    made.release(recipe.nevra.release)
    made.description(_describe(recipe))
    made.url(recipe.url)
    made.vendor(_VENDOR)
    made.build_host(_HOST)
    try:
        _add_files(made, recipe, places)
        _relate(made, recipe)
        package = made.build()
        package.apply_signature(sign(bytes(package.header_bytes())))
        package.write_file(str(target))
    except (RuntimeError, ValueError, OSError) as error:  # rpm-rs raises RuntimeError for most
        raise StorageError(
            f"rpm-rs can't build it: {' '.join(str(error).split())}",
            where=str(recipe.nevra),
            hint="check free space and that the cache folder can be written",
        ) from error


def signature_of(path: Path) -> bytes:
    """Return the signature over the header of an RPM that was built here.

    Raise VerificationError for another RPM.
    """
    with path.open("rb") as file:
        head = read_head(file, where=str(path))
    signature_tags(head, where=str(path))
    signature = value(head, _RSA_HEADER, signature=True, where=str(path))
    if signature is None:
        raise VerificationError("its header is not signed by an RSA key", where=str(path))
    return signature[1]


def _describe(recipe: Recipe) -> str:
    inputs = "".join(f"\n{program.name} {program.digest}" for program in recipe.programs)
    return f"{recipe.summary}. Built by airseed from what upstream publishes:{inputs}"


def _add_files(made: Any, recipe: Recipe, places: Mapping[str, Path]) -> None:
    described = {file.path: file for file in recipe.files}
    for path in sorted({*described, *places}):
        file = described.get(path)
        if path in places:
            os.utime(places[path], (BUILT, BUILT))
            made.with_file(str(places[path]), _options(path, _PROGRAM))
        elif file is not None and file.folder:
            made.with_dir_entry(
                load_rpm_rs().FileOptions.dir(path, user="root", group="root", permissions=_FOLDER)
            )
        elif file is not None:
            if file.text is None:
                raise ValueError(f"nothing was fetched for {path}")
            content = file.text.encode()
            made.with_file_contents(content, _options(path, _TEXT, file))


def _options(path: str, mode: int, file: PackedFile | None = None) -> Any:
    is_config = file is not None and file.config
    return load_rpm_rs().FileOptions.new(
        path, user="root", group="root", permissions=mode, config=is_config, noreplace=is_config
    )


def _relate(made: Any, recipe: Recipe) -> None:
    flags = load_rpm_rs().DependencyFlags
    for text in recipe.requires:
        name, *rest = text.split()
        if not rest:
            made.requires(name)
            continue
        first, *others = (getattr(flags, word) for word in _COMPARISONS[rest[0]])
        made.requires(name, rest[1], first | others[0] if others else first)
    add = {
        "pre": made.pre_install_script,
        "post": made.post_install_script,
        "preun": made.pre_uninstall_script,
        "postun": made.post_uninstall_script,
    }
    for when, script in recipe.scripts.items():
        add[when](script)

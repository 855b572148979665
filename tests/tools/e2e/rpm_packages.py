"""RPMs with real programs under the catalog's names, signed, in repositories."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rpm_rs

from builder.lab.openpgp import VendorKey, generate
from builder.model.rpm import Nevra
from e2e.container_images import in_root, libraries_of
from e2e.resources import data, repositories, run, source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

BUILT = 1593561600
"""Seconds since 1970: when everything here was made, so that it is the same every time."""
_BINARIES = ("/usr/bin/", "/usr/sbin/", "/opt/cni/bin/")
_FLAGS = rpm_rs.DependencyFlags
_COMPARISONS = {"=": _FLAGS.EQUAL, ">=": _FLAGS.GREATER | _FLAGS.EQUAL}


def keys() -> dict[str, VendorKey]:
    """Make a signing key for each of the catalog's."""
    users: Mapping[str, str] = data("packages.yaml")["keys"]
    return {name: generate(user, created=BUILT) for name, user in users.items()}


def build(folder: Path, signers: Mapping[str, VendorKey]) -> None:
    """Build every repository; ``signers`` has the key of each by the repository's name."""
    for name, packages in repositories().items():
        own = folder / name / "x86_64"
        own.mkdir(parents=True)
        for nevra, recipe in packages.items():
            write(own, nevra, recipe, signers[name])
        run("createrepo_c", "--quiet", "--general-compress-type", "gz", own)


def base() -> list[str]:
    """Name the packages that the node's image has from the start."""
    return [
        nevra
        for packages in repositories().values()
        for nevra, recipe in packages.items()
        if recipe.get("base")
    ]


def taken() -> set[str]:
    """Return the paths that leave the node's image, since packages bring them."""
    return {
        path.removeprefix("root:")
        for packages in repositories().values()
        for recipe in packages.values()
        for path in recipe.get("files", {}).values()
        if path.startswith("root:")
    }


def write(folder: Path, nevra: str, recipe: Mapping[str, Any], key: VendorKey) -> Path:
    """Build one RPM (V4, gzip: what EL7 reads) and sign it."""
    name = Nevra.parse(nevra)
    builder = rpm_rs.PackageBuilder(
        name.name, name.version, "ASL 2.0", name.arch, f"{name.name}, packed for airseed's tests"
    )
    builder.release(name.release)
    builder.using_config(
        rpm_rs.BuildConfig(
            format=rpm_rs.RpmFormat.V4,
            compression=rpm_rs.CompressionType.Gzip,
            compression_level=1,
            source_date=BUILT,
        )
    )
    if name.epoch:
        builder.epoch(name.epoch)
    _add_files(builder, name, recipe)
    _relate(builder.requires, recipe.get("requires", ()))
    _relate(builder.provides, recipe.get("provides", ()))
    if before := recipe.get("before"):
        builder.pre_install_script(f"{before}\n")
    package = builder.build()
    package.apply_signature(key.sign(bytes(package.header_bytes())))
    path = folder / name.filename
    package.write_file(str(path))
    return path


def _add_files(builder: Any, name: Nevra, recipe: Mapping[str, Any]) -> None:
    document = f"/usr/share/doc/{name.name}-{name.version}/README.{name.arch}"
    text = f"{name}: packed for airseed's tests\n".encode()
    builder.with_file_contents(text, rpm_rs.FileOptions.new(document, permissions=0o644))
    for path in recipe.get("folders", ()):
        builder.with_dir_entry(rpm_rs.FileOptions.dir(path, permissions=0o755))
    for path, where in recipe.get("files", {}).items():
        origin = source(where)
        inside = sorted(origin.iterdir()) if origin.is_dir() else [origin]
        for file in inside:
            if file.name.startswith("."):
                continue
            target = f"{path}/{file.name}" if origin.is_dir() else path
            mode = 0o755 if target.startswith(_BINARIES) else 0o644
            is_config = target.startswith("/etc/")
            options = rpm_rs.FileOptions.new(
                target, permissions=mode, config=is_config, noreplace=is_config
            )
            builder.with_file(str(file.resolve()), options)
    for library in sorted(_lacking(recipe)):
        options = rpm_rs.FileOptions.new(f"/usr{library}", permissions=0o755)
        builder.with_file(str(Path(library).resolve()), options)


def _lacking(recipe: Mapping[str, Any]) -> set[str]:
    """Name the libraries of a package's programs that the node's image has not."""
    if not recipe.get("libraries"):
        return set()
    used = {lib for path, text in recipe["files"].items() for lib in libraries_of(path, text)}
    return {library for library in used if not in_root(library).exists()}


def _relate(add: Callable[..., Any], relations: Iterable[str]) -> None:
    """Add dependencies with name, version and comparison apart, as rpm-rs wants them."""
    for text in relations:
        name, *rest = text.split()
        if rest:
            add(name, rest[1], _COMPARISONS[rest[0]])
        else:
            add(name)

"""A root in which packages are installed, as far as rpm's database is concerned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from builder.model.rpm import Nevra
from interop.programs import run

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from primary import P


def install(packages: Iterable[P], root: Path, env: Mapping[str, str]) -> None:
    """Build packages with all that the metadata says of them, and enter them into a database.

    One spec has them all, since a run of rpmbuild takes a while. Debian's rpm has its database
    where the user's home would be below the root: whoever reads it needs the same ``env``.
    """
    scratch = Path(env["HOME"]) / "rpmbuild"
    scratch.mkdir()
    spec = scratch / "all.spec"
    spec.write_text(_spec(list(packages)), "utf-8")
    run("rpmbuild", "-bb", f"--define=_topdir {scratch}", "--target=x86_64", spec, env=env)
    rpms = sorted((scratch / "RPMS").rglob("*.rpm"))
    root.mkdir()
    run("rpm", "--root", root, "-i", "--justdb", "--nodeps", "--nosignature", *rpms, env=env)


def installed(root: Path, env: Mapping[str, str]) -> bytes:
    """Return what ``rpm -qa`` prints."""
    return run("rpm", "--root", root, "-qa", env=env).stdout.encode()


def _spec(packages: list[P]) -> str:
    lines = [
        "%global _binary_payload w1.gzdio",
        "%global __os_install_post %{nil}",
        "%global debug_package %{nil}",
        "Name: none", "Version: 1", "Release: 1", "Summary: none", "License: none",
        "%description", "none", "%install",
    ]  # fmt: skip
    paths = sorted({path for one in packages for path in (*one.files, *one.hidden)})
    for path in paths:
        lines += [f"mkdir -p %{{buildroot}}{path.rpartition('/')[0]}", f": > %{{buildroot}}{path}"]
    for one in packages:
        lines += _package(one)
    return "\n".join([*lines, ""])


def _package(one: P) -> list[str]:
    name = Nevra.parse(one.nevra)
    tags = [f"Version: {name.version}", f"Release: {name.release}"]
    tags += [f"Epoch: {name.epoch}"] if name.epoch else []
    tags += [f"BuildArch: {name.arch}"] if name.arch == "noarch" else []
    tags += ["Summary: made up", "AutoReqProv: no"]
    for tag, entries in (
        ("Requires", one.requires),
        ("Provides", one.provides),
        ("Conflicts", one.conflicts),
        ("Obsoletes", one.obsoletes),
        ("Recommends", one.recommends),
    ):
        tags += [f"{tag}: {entry}" for entry in entries]
    return [
        f"%package -n {name.name}", *tags,
        f"%description -n {name.name}", "made up",
        f"%files -n {name.name}", *one.files, *one.hidden,
    ]  # fmt: skip

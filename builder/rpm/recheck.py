"""Repodata against RPMs: what yum on a node will believe must be what the bundle carries."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from builder import disk
from builder.errors import AirseedError, Fault, StorageError
from builder.rpm.compression import unpack
from builder.rpm.problems import plain
from builder.rpm.repodata import REPOMD_LIMIT, parse_repomd
from builder.rpm.subset import KINDS, Rpm, read_digests, read_packages

if TYPE_CHECKING:
    from collections.abc import Iterable

    from builder.rpm.repodata import Repomd


_MORE = 1000
"""Packages beyond those that are here which are named one by one."""


def verify_repodata(folder: Path, rpms: Iterable[Rpm], *, where: str = "") -> list[Fault]:
    """Compare a ``repodata`` folder with the RPMs beside it; return every difference.

    The same names, digests and sizes, hrefs as ours are, every file as repomd.xml says and none
    that it does not name.
    """
    where = where or str(folder)
    try:
        repomd = _repomd(folder, where)
    except AirseedError as error:
        return _faults(error)
    faults = _strays(folder, repomd, where)
    with tempfile.TemporaryDirectory() as scratch:
        files: dict[str, Path] = {}
        for kind in KINDS:
            try:
                record = repomd.need(kind, where=f"{where}/repomd.xml")
                path = Path(scratch) / f"{kind}.xml"
                # only the name: an href may not lead out of the folder
                source = folder / Path(record.href).name
                unpack(source, path, record, where=f"{where}/{source.name}")
            except AirseedError as error:
                faults += _faults(error)
            else:
                files[kind] = path
        faults += _compare(files, sorted(set(rpms)), where)
    return faults


def _repomd(folder: Path, where: str) -> Repomd:
    path = folder / "repomd.xml"
    try:
        content = disk.read(path, REPOMD_LIMIT)
    except OSError as error:
        raise StorageError(error.strerror or str(error), where=f"{where}/repomd.xml") from error
    return parse_repomd(content, where=f"{where}/repomd.xml")


def _strays(folder: Path, repomd: Repomd, where: str) -> list[Fault]:
    named = {f"repodata/{path.name}" for path in folder.iterdir()} - {"repodata/repomd.xml"}
    hrefs = {record.href for record in repomd.records}
    lost = [
        Fault(where=f"{where}/repomd.xml", what=f"it names {plain(href)}, which is not here")
        for href in sorted(hrefs - named)
    ]
    # yum takes a database before what it was made from
    lost += [
        Fault(
            where=f"{where}/repomd.xml", what=f"it names a {plain(kind)}, which yum would believe"
        )
        for kind in repomd.unread
    ]
    return lost + [
        Fault(where=f"{where}/{name.removeprefix('repodata/')}", what="repomd.xml does not name it")
        for name in sorted(named - hrefs)
    ]


def _compare(files: dict[str, Path], rpms: list[Rpm], where: str) -> list[Fault]:
    if "primary" not in files:
        return []
    try:
        described = read_packages(files["primary"], where, most=len(rpms) + _MORE)
    except AirseedError as error:
        return _faults(error)
    faults: list[Fault] = []
    by_name: dict[str, Any] = {}
    for package in described:
        name = package.nevra()  # NAME-EPOCH:VERSION-RELEASE.ARCH, the epoch always there
        if name in by_name:
            faults.append(Fault(where=f"{where}: {plain(name)}", what="primary lists it twice"))
        by_name[name] = package
    for rpm in rpms:
        faults += _differences(rpm, by_name.pop(_full(rpm), None), where)
    faults += [
        Fault(where=f"{where}: {plain(name)}", what="primary lists it, but the RPM is not here")
        for name in sorted(by_name)
    ]
    expected = {rpm.digest.hex for rpm in rpms}
    for kind in ("filelists", "other"):
        if kind not in files:
            continue
        try:
            digests = read_digests(files[kind], kind, where)
        except AirseedError as error:
            faults += _faults(error)
            continue
        if digests != expected:
            what = f"{kind} lists other packages than primary"
            faults.append(Fault(where=f"{where}/{kind}", what=what))
    return faults


def _differences(rpm: Rpm, package: Any, where: str) -> list[Fault]:
    where = f"{where}: {rpm.nevra}"
    if package is None:
        return [Fault(where=where, what="primary does not list this RPM")]
    pairs = (
        ("digest", package.pkgId, rpm.digest.hex),
        ("checksum type", package.checksum_type, "sha256"),
        ("size", package.size_package, rpm.size),
        ("location", package.location_href, rpm.href),
        ("base of locations", package.location_base or None, None),
    )
    return [
        Fault(where=where, what=f"its {name} is {plain(str(is_))}", expected=str(should))
        for name, is_, should in pairs
        if is_ != should
    ]


def _full(rpm: Rpm) -> str:
    name = rpm.nevra
    return f"{name.name}-{name.epoch}:{name.version}-{name.release}.{name.arch}"


def _faults(error: AirseedError) -> list[Fault]:
    return list(error.faults) or [error.fault]

"""Repodata against RPMs: what yum on a node will believe must be what the bundle carries."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from builder import disk
from builder.errors import AirseedError, Fault, StorageError, reason
from builder.rpm import claims
from builder.rpm.compression import unpack
from builder.rpm.problems import plain
from builder.rpm.repodata import REPOMD_LIMIT, parse_repomd
from builder.rpm.subset import KINDS, Rpm, read_digests, read_packages

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from builder.model.digest import Digest
    from builder.rpm.claims import Claims
    from builder.rpm.repodata import Repomd


_ROOM = 1 << 14
"""Bytes of a metadata file that no header need justify, for the file and for each package."""
_MARKUP = 8
"""How many times larger than in the header all of it may be as XML; 2 is usual."""
_LARGEST_HEAD = 1 << 20
"""Bytes that the header of an RPM is taken to have where only the file's size is known."""
_MORE = 100
"""Packages beyond those that are here which are named one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recheck:
    faults: list[Fault]
    packages: list[Claims] = field(default_factory=list)
    """What the RPMs say of themselves, or where no header is at hand, metadata of them."""
    unlisted: dict[str, frozenset[str]] = field(default_factory=dict)
    """Files of RPMs that metadata leaves out, by place: a fault if anything requires them."""


def verify_repodata(
    folder: Path,
    rpms: Iterable[Rpm],
    *,
    where: str = "",
    heads: Mapping[Digest, bytes] | None = None,
) -> Recheck:
    """Compare a ``repodata`` folder with the RPMs beside it; find every difference.

    The same names, digests and sizes, hrefs as ours are, every file as repomd.xml says and none
    that it does not name. ``heads`` are those of the RPMs that are at hand, their signatures
    checked: what metadata says of them must be what they say.
    """
    where = where or str(folder)
    rpms, heads = sorted(set(rpms)), heads or {}
    largest = justified(rpms, heads)
    try:
        repomd = _repomd(folder, where)
    except AirseedError as error:
        return Recheck(faults=_faults(error))
    found = Recheck(faults=_strays(folder, repomd, where))
    with tempfile.TemporaryDirectory() as scratch:
        files: dict[str, Path] = {}
        for kind in KINDS:
            try:
                record = repomd.need(kind, where=f"{where}/repomd.xml")
                path = Path(scratch) / f"{kind}.xml"
                # only the name: an href may not lead out of the folder
                source = folder / Path(record.href).name
                unpack(source, path, record, where=f"{where}/{source.name}", largest=largest)
            except AirseedError as error:
                found.faults.extend(_faults(error))
            else:
                files[kind] = path
        found.faults.extend(_compare(files, rpms, heads, where, found))
    return found


def hidden(where: str, what: str) -> Fault:
    """Return the fault that metadata says something else than the RPM that it is about."""
    return Fault(
        where=where,
        what=what,
        expected="what the signed header of the RPM says",
        hint="the mirror that it was locked from changed its metadata: lock from another one",
    )


def justified(rpms: Iterable[Rpm], heads: Mapping[Digest, bytes] | None = None) -> int:
    """Return the bytes that a metadata file about these RPMs may have.

    All that it can say of an RPM comes from the header, which ``heads`` has or the file holds.
    """
    known = heads or {}
    sizes = (
        len(known[rpm.digest]) if rpm.digest in known else min(rpm.size, _LARGEST_HEAD)
        for rpm in rpms
    )
    return _ROOM + sum(_ROOM + _MARKUP * size for size in sizes)


def _repomd(folder: Path, where: str) -> Repomd:
    path = folder / "repomd.xml"
    try:
        content = disk.read(path, REPOMD_LIMIT)
    except OSError as error:
        raise StorageError(reason(error), where=f"{where}/repomd.xml") from error
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
    lost += [
        Fault(where=f"{where}/repomd.xml", what=f"it names {plain(kind)}, which no bundle has")
        for kind in sorted({record.type for record in repomd.records} - {*KINDS})
    ]
    return lost + [
        Fault(where=f"{where}/{name.removeprefix('repodata/')}", what="repomd.xml does not name it")
        for name in sorted(named - hrefs)
    ]


def _compare(
    files: dict[str, Path],
    rpms: list[Rpm],
    heads: Mapping[Digest, bytes],
    where: str,
    found: Recheck,
) -> list[Fault]:
    if "primary" not in files:
        return []
    try:
        described = read_packages(files["primary"], where, files=True, most=len(rpms) + _MORE)
    except AirseedError as error:
        return _faults(error)
    faults: list[Fault] = []
    by_name: dict[str, Any] = {}
    for package in described:
        name = package.nevra()  # NAME-EPOCH:VERSION-RELEASE.ARCH, the epoch always there
        if name in by_name:
            faults.append(Fault(where=f"{where}: {plain(name)}", what="primary lists it twice"))
        by_name[name] = package
    by_digest = {package.pkgId: package for package in described}
    strangers = _listed(files, {rpm.digest.hex for rpm in rpms}, by_digest, where)
    for rpm in rpms:
        package = by_name.pop(_full(rpm), None)
        faults += _differences(rpm, package, where)
        if package is not None:
            faults += _claims(rpm, package, heads.get(rpm.digest), where, found)
    faults += [
        Fault(where=f"{where}: {plain(name)}", what="primary lists it, but the RPM is not here")
        for name in sorted(by_name)
    ]
    return faults + strangers


def _listed(
    files: dict[str, Path], expected: set[str], described: dict[str, Any], where: str
) -> list[Fault]:
    """Read the other documents; what filelists says is added to what primary describes."""
    faults: list[Fault] = []
    for kind in files.keys() & {"filelists", "other"}:
        try:
            filled = described if kind == "filelists" else None
            digests = read_digests(files[kind], kind, where, filled)
        except AirseedError as error:
            faults += _faults(error)
            continue
        if digests != expected:
            what = f"{kind} lists other packages than primary"
            faults.append(Fault(where=f"{where}/{kind}", what=what))
    return sorted(faults)


def _claims(rpm: Rpm, package: Any, head: bytes | None, where: str, found: Recheck) -> list[Fault]:
    """Compare what metadata says with the header; keep in ``found`` the one that counts."""
    where = f"{where}: {rpm.nevra}"
    said = claims.of_metadata(package)
    try:
        signed = claims.of_header(head, where=where) if head is not None else said
    except AirseedError as error:
        return _faults(error)
    found.packages.append(signed)
    if unlisted := claims.unlisted(signed, said):
        found.unlisted[where] = unlisted
    return [hidden(where, what) for what in claims.differences(signed, said)]


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

"""Repodata of exactly the chosen RPMs, made from upstream's, so that no RPM is needed for it.

yum of EL7 reads gzip for sure and needs no sqlite; hrefs become ``Packages/NAME``. The bytes are
a pure function of upstream's metadata and the choice: packages are sorted, and the only time in
them is that of the newest package.
"""

from __future__ import annotations

import gzip
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from builder import disk
from builder.errors import Fault, VerificationError
from builder.model.digest import Digest
from builder.rpm.claims import of_metadata
from builder.rpm.createrepo import createrepo
from builder.rpm.markup import check_prologue
from builder.rpm.problems import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from builder.model.rpm import Nevra
    from builder.rpm.claims import Claims
    from builder.rpm.repodata import MetadataFiles

KINDS = ("primary", "filelists", "other")
_ROOTS = {"primary": "metadata", "filelists": "filelists", "other": "otherdata"}
_LEVEL = 6  # 9 takes four times as long for a sixth
_CHUNK = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Rpm:
    nevra: Nevra
    digest: Digest
    size: int

    @property
    def href(self) -> str:
        return f"Packages/{self.nevra.filename}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RepodataFile:
    name: str
    """In the repository, without folder: ``repomd.xml``, others with their digest before it."""
    path: Path
    digest: Digest
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageInfo:
    licence: str
    vendor: str


def write_subset(
    upstream: MetadataFiles, rpms: Iterable[Rpm], folder: Path
) -> tuple[RepodataFile, ...]:
    """Write primary, filelists, other and repomd.xml of these RPMs into a folder.

    Return the files, repomd.xml last. Raise VerificationError when upstream's metadata can't be
    read or does not describe one of the RPMs with that digest and size.
    """
    return _write_all(_describe(upstream, sorted(set(rpms))), folder)


def write_built(paths: Iterable[Path], folder: Path) -> tuple[RepodataFile, ...]:
    """Write the metadata of RPMs that were built here and are signed; as :func:`write_subset`."""
    cr = createrepo()
    folder.mkdir(parents=True, exist_ok=True)
    described = []
    for path in paths:
        with _translated(path.name):
            package = cr.package_from_rpm(str(path), checksum_type=cr.SHA256)
        package.time_file = package.time_build  # not when this machine wrote it
        package.location_href = f"Packages/{package.nvra()}.rpm"
        described.append(package)
    described.sort(key=lambda package: (package.name, package.nevra()))
    return _write_all(described, folder)


def _write_all(described: list[Any], folder: Path) -> tuple[RepodataFile, ...]:
    try:
        return _written(described, folder)
    except OSError as error:
        raise disk.failure(error, folder) from error


def _written(described: list[Any], folder: Path) -> tuple[RepodataFile, ...]:
    cr = createrepo()
    newest = max((int(package.time_file) for package in described), default=0)
    dumps = {
        "primary": (cr.PrimaryXmlFile, cr.xml_dump_primary),
        "filelists": (cr.FilelistsXmlFile, cr.xml_dump_filelists),
        "other": (cr.OtherXmlFile, cr.xml_dump_other),
    }
    repomd = cr.Repomd()
    repomd.set_revision(str(newest))
    files = []
    for kind, (writer, dump) in dumps.items():
        path = folder / f"{kind}.xml.gz"
        _write(writer, dump, described, path)
        # a server can switch to new metadata by one file, since no name ever means two
        path = path.rename(path.with_name(f"{_finished(path).digest.hex}-{path.name}"))
        record = cr.RepomdRecord(kind, str(path))
        record.fill(cr.SHA256)
        record.timestamp = newest
        repomd.set_record(record)
        files.append(_finished(path))
    path = folder / "repomd.xml"
    path.write_text(repomd.xml_dump(), "utf-8")
    return (*files, _finished(path))


def _write(writer: Any, dump: Any, packages: list[Any], path: Path) -> None:
    """Write one document through createrepo_c, compressed by us without name and time."""
    plain = path.with_suffix("")
    file = writer(str(plain), createrepo().NO_COMPRESSION)
    try:
        file.set_num_of_pkgs(len(packages))
        for package in packages:
            file.add_chunk(dump(package))
    finally:
        file.close()
    with (
        plain.open("rb") as source,
        path.open("wb") as target,
        gzip.GzipFile("", "wb", _LEVEL, target, mtime=0) as packed,
    ):
        while chunk := source.read(_CHUNK):
            packed.write(chunk)
    plain.unlink()


def _finished(path: Path) -> RepodataFile:
    with path.open("rb") as file:
        digest = Digest.of_file(file)
    return RepodataFile(name=path.name, path=path, digest=digest, size=path.stat().st_size)


def _describe(upstream: MetadataFiles, wanted: Sequence[Rpm]) -> list[Any]:
    by_digest = {rpm.digest.hex: rpm for rpm in wanted}
    packages = {
        package.pkgId: package
        for package in read_packages(
            upstream.primary, upstream.name, files=not upstream.filelists, wanted=by_digest
        )
        if _is(package, by_digest[package.pkgId])
    }
    faults = [
        Fault(where=f"{upstream.name}: {rpm.nevra}", what="primary does not describe this RPM")
        for rpm in wanted
        if rpm.digest.hex not in packages
    ]
    if faults:
        raise VerificationError(
            f"the metadata lacks {len(faults)} of the chosen packages", where=upstream.name,
            faults=faults,
        )  # fmt: skip
    for rpm in wanted:
        package = packages[rpm.digest.hex]
        package.location_href, package.location_base = rpm.href, None
    _add_details(upstream, packages)
    return [packages[rpm.digest.hex] for rpm in wanted]


def _is(package: Any, rpm: Rpm) -> bool:
    name = rpm.nevra
    return (
        (package.name, package.version, package.release, package.arch)
        == (name.name, name.version, name.release, name.arch)
        and (package.epoch or "0") == str(name.epoch)
        and package.size_package == rpm.size
    )


def read_packages(
    primary: Path,
    name: str,
    *,
    files: bool = False,
    most: int | None = None,
    wanted: Container[str] | None = None,
) -> list[Any]:
    """Return createrepo_c's values of the packages in a primary; ``files`` adds primary's files.

    They are all of them, or those whose digests (hex) are ``wanted``: no others are held.

    Raise VerificationError when it can't be read, or lists more than ``most``.
    """
    where = f"{name}: primary"
    packages: list[Any] = []
    check_prologue(primary, _ROOTS["primary"], where=where)

    def take(package: Any) -> None:
        if wanted is not None and package.pkgId not in wanted:
            return
        if len(packages) == most:
            raise ValueError(f"it lists more than {most:,} packages")
        packages.append(package)

    with _translated(where):
        createrepo().xml_parse_primary(
            str(primary),
            pkgcb=packages.append if most is None and wanted is None else take,
            warningcb=_ignore,
            do_files=files,
        )
    return packages


def read_digests(
    path: Path, kind: str, name: str, packages: Mapping[str, Any] | None = None
) -> set[str]:
    """Return the digests (hex) of the packages that a filelists or other document lists.

    What it says of ``packages``, by digest, is added to those.
    """
    digests: set[str] = set()

    def begin(digest: str, _name: str, _arch: str) -> Any:
        digests.add(digest)
        return (packages or {}).get(digest)

    _parse(path, kind, name, begin)
    return digests


def metadata_file(folder: Path, kind: str) -> Path:
    """Return the one file of a kind that :func:`write_subset` wrote into a folder."""
    (path,) = folder.glob(f"*-{kind}.xml.gz")
    return path


def read_claims(folder: Path, name: str) -> list[Claims]:
    """Return what primary and filelists of ours, as :func:`write_subset` writes them, say."""
    packages = read_packages(metadata_file(folder, "primary"), name, files=True)
    by_digest = {package.pkgId: package for package in packages}
    read_digests(metadata_file(folder, "filelists"), "filelists", name, by_digest)
    return [of_metadata(package) for package in packages]


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


def _add_details(upstream: MetadataFiles, packages: dict[str, Any]) -> None:
    """Add files and changelogs; a package that is listed twice is read once."""
    for kind, path in (("filelists", upstream.filelists), ("other", upstream.other)):
        if path is None:
            continue
        left = dict(packages)

        def begin(digest: str, _name: str, _arch: str, left: dict[str, Any] = left) -> Any:
            return left.pop(digest, None)

        _parse(path, kind, upstream.name, begin)
        if left and kind == "filelists":
            some = ", ".join(sorted(plain(package.nevra()) for package in left.values())[:5])
            raise VerificationError(
                f"it lacks packages of primary: {some}", where=f"{upstream.name}: {kind}"
            )


def _parse(path: Path, kind: str, name: str, begin: Callable[[str, str, str], Any]) -> None:
    cr = createrepo()
    where = f"{name}: {kind}"
    check_prologue(path, _ROOTS[kind], where=where)
    parse = cr.xml_parse_filelists if kind == "filelists" else cr.xml_parse_other
    with _translated(where):
        parse(str(path), newpkgcb=begin, warningcb=_ignore)


def _ignore(_kind: int, _message: str) -> bool:
    return True


@contextmanager
def _translated(where: str) -> Iterator[None]:
    try:
        yield
    except (createrepo().CreaterepoCError, OSError, ValueError) as error:
        raise VerificationError(
            f"createrepo_c can't read it: {plain(str(error))}", where=where
        ) from error

"""The catalog: from folders of YAML files to values.

A catalog is one or more folders, ``mirrors/`` first. A file of a later folder replaces the file
of the same name as a whole; files with new names add entries. What a file describes follows from
its folder and name (``kubernetes/1.18.yaml``, ``os/centos-7.6.yaml``). All faults of all files
are reported at once.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

from builder.assets import tree
from builder.errors import DocumentError, Fault, did_you_mean, reason
from builder.formats.catalog.arguments import APIS, INSTEAD
from builder.formats.catalog.endpoints import ENDPOINTS
from builder.formats.catalog.kinds import KINDS
from builder.formats.catalog.packer import PACKER, table
from builder.formats.catalog.paths import PATHS, owned
from builder.formats.catalog.programs import PROGRAMS
from builder.formats.catalog.references import CatalogEntry, check
from builder.formats.catalog.systems import EVICTION, KERNELS, PORTS, PROVIDERS
from builder.formats.catalog.values import ALLOWED, LISTENERS, listeners
from builder.formats.reading import WRONG, Reading
from builder.formats.text import read_text, yaml_document
from builder.model.catalog import Catalog
from builder.model.catalog.endpoints import EndpointTable
from builder.model.catalog.programs import ProgramTable
from builder.model.catalog.systems import UserDataLimit
from builder.model.signer import Signer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from builder.formats.catalog.kinds import Kind
    from builder.formats.records import MapOf, Record

LARGEST = 1 << 20
"""Bytes of one catalog file."""
_EXAMPLES = "examples"
_ALLOWED = "allowed"
_KERNELS = "kernels"
_LISTENERS = "listeners"
_PATHS = "paths"
_PORTS = "ports"
_PROVIDERS = "providers"
_APIS = "apis"
_ENDPOINTS = "endpoints"
_EVICTION = "eviction"
_INSTEAD = "instead"
_PACKER = "packer"
_PROGRAMS = "programs"
_TABLES: dict[str, MapOf[Any] | Record[Any]] = {
    _ALLOWED: ALLOWED,
    _KERNELS: KERNELS,
    _LISTENERS: LISTENERS,
    _PATHS: PATHS,
    _PORTS: PORTS,
    _PROVIDERS: PROVIDERS,
    _ENDPOINTS: ENDPOINTS,
    _EVICTION: EVICTION,
    _INSTEAD: INSTEAD,
    _APIS: APIS,
    _PACKER: PACKER,
    _PROGRAMS: PROGRAMS,
}
"""Files that stand in no folder."""


def load(catalogs: Sequence[Path] = ()) -> Catalog:
    """Read the built-in catalog, and the user's folders over it.

    Raise DocumentError with every fault in them.
    """
    faults: list[Fault] = []
    files: dict[str, Path] = {}
    for folder in (tree("mirrors"), *catalogs):
        files.update(_files(folder, faults))
    entries: dict[str, dict[str, CatalogEntry]] = {kind: {} for kind in (*KINDS, *_TABLES)}
    for name, path in files.items():
        kind, _, stem = name.partition("/")
        entries[kind][stem] = _read(name, path)
    check(entries)
    for each in entries.values():
        for entry in each.values():
            where = entry.reading.document
            faults += (fault.inside(where) for fault in entry.reading.faults)
    if faults:
        raise DocumentError("catalog", sorted(faults, key=lambda fault: fault.where))
    return _catalog(entries)


def _files(folder: Path, faults: list[Fault]) -> dict[str, Path]:
    """Find the files of a folder, by name without ``.yaml``."""
    files: dict[str, Path] = {}
    try:
        for path in _walk(folder):
            name = path.relative_to(folder).as_posix()
            kind, slash, _ = name.partition("/")
            known = kind in KINDS if slash else name.removesuffix(".yaml") in _TABLES
            if path.suffix != ".yaml":
                what, hint = "not a file of a catalog", f"call it {path.with_suffix('.yaml').name}"
                faults.append(Fault(where=str(path), what=what, hint=hint))
            elif not known:
                folders = tuple(KINDS)
                faults.append(
                    Fault(
                        where=str(path),
                        what="a catalog has no such file",
                        expected=f"{', '.join(f'{table}.yaml' for table in _TABLES)}, "
                        f"or a file in {', '.join(folders)}",
                        hint=did_you_mean(kind, folders),
                    )
                )
            else:
                files[name.removesuffix(".yaml")] = path
    except OSError as error:
        faults.append(Fault(where=str(folder), what=reason(error)))
        return {}
    if not files and not any(fault.where.startswith(str(folder)) for fault in faults):
        expected = f"files in {', '.join(KINDS)}"
        faults.append(
            Fault(where=str(folder), what="this folder has no catalog files", expected=expected)
        )
    return files


def _walk(folder: Path) -> Iterator[Path]:
    """Return the YAML files of a folder and of the folders in it, but no examples."""
    inside = sorted(folder.iterdir())
    for part in (folder, *(p for p in inside if p.is_dir() and p.name != _EXAMPLES)):
        for path in inside if part == folder else sorted(part.iterdir()):
            hidden = path.name.startswith(".") or (part.name.startswith(".") and part != folder)
            if path.suffix in {".yaml", ".yml"} and not hidden and path.is_file():
                yield path


def _read(name: str, path: Path) -> CatalogEntry:
    """Read one file; what is wrong with it stands in its reading."""
    folder, _, stem = name.partition("/")
    try:
        document = yaml_document(read_text(path, largest=LARGEST), str(path))
    except DocumentError as error:
        return CatalogEntry(value=WRONG, reading=Reading(str(path), faults=list(error.faults)))
    reading = Reading(str(path), document.lines)
    if folder in _TABLES:
        return CatalogEntry(
            value=_TABLES[folder].read(document.value, "", reading), reading=reading
        )
    kind = KINDS[folder]
    identity = _identity(kind, stem, reading)
    value = kind.shape.read(document.value, "", reading)
    if value is WRONG or identity is None:
        return CatalogEntry(value=WRONG, reading=reading)
    return CatalogEntry(value=partial(kind.build, **value)(**identity), reading=reading)


def _identity(kind: Kind, stem: str, reading: Reading) -> dict[str, str] | None:
    match = re.fullmatch(kind.name, stem)
    if match:
        return match.groupdict()
    reading.wrong(
        "", "the file's name is not recognized", expected=f"a name like {kind.example}.yaml"
    )
    return None


def _catalog(entries: dict[str, dict[str, CatalogEntry]]) -> Catalog:
    values = {folder: {n: e.value for n, e in each.items()} for folder, each in entries.items()}
    return Catalog(
        kubernetes_series=values["kubernetes"],
        runtime_series=values["runtimes"],
        calico_series=values["calico"],
        systems=values["os"],
        repositories=values["repositories"],
        keys=values["keys"],
        registries=values["registries"],
        kernels=_only(values[_KERNELS].values()),
        eviction=_only(values[_EVICTION].values()),
        cloud_inits=values["cloud-init"],
        limits={
            name: UserDataLimit(provider=name, **fields)
            for name, fields in _only(values[_PROVIDERS].values()).items()
        },
        ports=_only(values[_PORTS].values()),
        endpoints=EndpointTable(**_only(values[_ENDPOINTS].values())),
        packer=table(_only(values[_PACKER].values())),
        programs=_only(values[_PROGRAMS].values()) or ProgramTable(),
        paths=tuple(owned(_only(values[_PATHS].values()))),
        configurations=values["configuration"],
        allowed=_only(values[_ALLOWED].values()),
        listeners=tuple(listeners(_only(values[_LISTENERS].values()))),
        arguments=values["arguments"],
        apis=_only(values[_APIS].values()),
        instead=_only(values[_INSTEAD].values()),
        binaries=values["binaries"],
        builds=values["builds"],
        authorities=values["authorities"],
        signers={
            name: Signer(**{**fields, "authority": values["authorities"].get(fields["authority"])})
            for name, fields in values["signers"].items()
        },
    )


def _only(values: Iterable[Any]) -> Any:
    return next(iter(values), {})

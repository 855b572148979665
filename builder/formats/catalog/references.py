"""What must hold between the files of a catalog: names lead somewhere, tables are whole.

Each check reports to the file that is wrong. A file with faults of its own
still counts as being there, so that one fault makes no others.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from builder.errors import did_you_mean
from builder.formats import signers
from builder.formats.catalog import builds
from builder.formats.reading import WRONG, Reading, child
from builder.model.configuration import PLAIN
from builder.model.version import numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from builder.model.catalog.calico import CalicoSeries
    from builder.model.catalog.kubernetes import KubernetesSeries
    from builder.model.catalog.repositories import CatalogRepository, ImageSources, Key
    from builder.model.catalog.runtimes import RuntimeSeries
    from builder.model.catalog.systems import OperatingSystem
    from builder.model.configuration import Table
    from builder.model.recipe import Builds

_CALICO = "calico"
_NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogEntry:
    """Hold one file's value, WRONG where it could not be read, and where its faults go."""

    value: Any
    reading: Reading


@dataclass(frozen=True, slots=True)
class CatalogFiles:
    by_folder: Mapping[str, Mapping[str, CatalogEntry]]

    def each(self, folder: str) -> Iterator[tuple[str, Any, Reading]]:
        for name, entry in self.by_folder[folder].items():
            if entry.value is not WRONG:
                yield name, entry.value, entry.reading

    def whole(self, folder: str) -> bool:
        return all(entry.value is not WRONG for entry in self.by_folder[folder].values())

    def must_have(self, folder: str, name: str, path: str, reading: Reading) -> None:
        known = self.by_folder[folder]
        if name not in known:
            what = f"there is no {folder}/{name}.yaml"
            expected = " or ".join(sorted(known)) or "a file there"
            reading.wrong(path, what, expected=expected, hint=did_you_mean(name, known))


def check(by_folder: Mapping[str, Mapping[str, CatalogEntry]]) -> None:
    files = CatalogFiles(by_folder)
    for folder, rule in _RULES.items():
        for _, value, reading in files.each(folder):
            rule(value, files, reading)
    for name, made, reading in files.each("builds"):
        _builds(name, made, files, reading)
    _keys(files)
    _registries(files)


def _signer(fields: Mapping[str, Any], files: CatalogFiles, reading: Reading) -> None:
    if (what := signers.incomplete(fields)) is not None:
        reading.wrong("", what)
    if fields["authority"] is not None:
        files.must_have("authorities", fields["authority"], "authority", reading)


def _kubernetes(series: KubernetesSeries, files: CatalogFiles, reading: Reading) -> None:
    _families(series.repositories, files, "packages.repositories", reading)
    files.must_have("os", series.defaults.os, "defaults.os", reading)
    for name in series.configurations:
        files.must_have("configuration", name, name.rpartition("-")[0], reading)
    _default_runtime(series, files, reading)
    _default_cni(series.defaults.cni, files, reading)
    if not any(patch <= min(series.tags, default=0) for patch in series.registry):
        reading.wrong(
            "registry", "no registry for the oldest patch", expected="an entry for 0 or for it"
        )
    for name in series.without:
        if name in series.runtimes:
            reading.wrong(child("without", name), f"{name} is under runtimes, too")
    tagged = {component.name for component in series.components if component.tag == "patch"}
    for patch, row in series.tags.items():
        _row(patch, row, tagged, reading)
    for name in series.digests:
        if not _is_pinned(name, series):
            reading.wrong(
                child("packages.sha256", name),
                "no package in this file has this name",
                expected="NAME-VERSION-RELEASE.ARCH of a package under versioned or pins",
            )


def _configuration(table: Table, _: CatalogFiles, reading: Reading) -> None:
    """Every type that a field has, and every kind of document, is in the table."""
    known = (*PLAIN, *table.types)
    for number, kind in enumerate(table.kinds):
        if kind not in table.types:
            hint = did_you_mean(kind, table.types)
            reading.wrong(f"kinds[{number}]", f"no type is called {kind}", hint=hint)
    for name, fields in table.types.items():
        for key, type_ in fields.items():
            if type_.name not in known:
                reading.wrong(
                    child(child("types", name), key),
                    f"no type is called {type_.name}",
                    expected=f"one of {', '.join(PLAIN)}, or a type of this file",
                    hint=did_you_mean(type_.name, known),
                )


def _row(patch: int, row: Mapping[str, str], tagged: set[str], reading: Reading) -> None:
    """A row of the image table has a tag for each image that wants one, and no other."""
    missing, needless = sorted(tagged - row.keys()), sorted(row.keys() - tagged)
    if missing:
        reading.wrong(f"tags.{patch}", f"no tag for {', '.join(missing)}")
    for name in needless:
        reading.wrong(
            child(f"tags.{patch}", name),
            "no image with `tag: patch` has this name",
            expected=" or ".join(sorted(tagged)) or None,
            hint=did_you_mean(name, tagged),
        )


def _is_pinned(name: str, series: KubernetesSeries) -> bool:
    request, dot, _ = name.rpartition(".")
    release = re.escape(series.series) + r"\.[0-9]+"
    own = (
        re.escape(f"{n}-{evr}").replace(re.escape("$version"), release)
        for n, evr in series.versioned.items()
    )
    pinned = (re.escape(f"{n}-{evr}") for row in series.pins.values() for n, evr in row.items())
    return bool(dot) and any(re.fullmatch(form, request) for form in (*own, *pinned))


def _default_runtime(series: KubernetesSeries, files: CatalogFiles, reading: Reading) -> None:
    name, _, version = series.defaults.runtime.rpartition("-")
    if not files.whole("runtimes"):
        return
    known = [runtime for _, runtime, _ in files.each("runtimes") if runtime.name == name]
    releases = {f"{name}-{v}" for runtime in known for v in (runtime.series, *runtime.releases)}
    if f"{name}-{version}" not in releases:
        what = f"there is no runtime {series.defaults.runtime}"
        expected = " or ".join(sorted(releases)) or None
        reading.wrong("defaults.runtime", what, expected=expected)
    elif name not in series.runtimes:
        expected = " or ".join(series.runtimes) or None
        reading.wrong("defaults.runtime", f"{name} is not under runtimes", expected=expected)


def _default_cni(default: str, files: CatalogFiles, reading: Reading) -> None:
    if default == _NONE:
        return
    name, _, version = default.rpartition("-")
    series = ".".join(version.split(".")[:2])
    if name != _CALICO:
        reading.wrong(
            "defaults.cni", f"there is no network plugin {default}", expected="calico-SERIES"
        )
    else:
        files.must_have("calico", series, "defaults.cni", reading)


def _runtime(series: RuntimeSeries, files: CatalogFiles, reading: Reading) -> None:
    _families(series.repositories, files, "repositories", reading)
    for version, families in series.releases.items():
        if version != series.series and not version.startswith(f"{series.series}."):
            what = f"{version} is not a release of {series.name} {series.series}"
            reading.wrong(child("releases", version), what)
        for family in families:
            if family not in series.repositories:
                reading.wrong(
                    child(child("releases", version), family),
                    "no repository for this family",
                    expected=" or ".join(series.repositories) or None,
                    hint=did_you_mean(family, series.repositories),
                )


def _calico(series: CalicoSeries, _: CatalogFiles, reading: Reading) -> None:
    if not series.operators:
        reading.wrong("operators", "no patch is listed")
    oldest = min(series.operators, default=0)
    names = [n for table in (series.images, series.optional) for row in table.values() for n in row]
    bare = [name for name in names if "." not in name.partition("/")[0]]
    if bare and not any(patch <= oldest for patch in series.registry):
        what = f"no registry for {bare[0]} of the oldest patch"
        reading.wrong("registry", what, expected=f"an entry for {oldest}")
    for way, manifests in series.install.items():
        ends = [m.most_nodes + 1 for m in manifests if m.most_nodes is not None]
        for nodes in sorted({1, *ends, *(m.least_nodes - 1 for m in manifests)} - {0, -1}):
            if not any(manifest.fits(nodes) for manifest in manifests):
                reading.wrong(f"install.{way}", f"no manifest for {nodes} nodes")


def _system(system: OperatingSystem, files: CatalogFiles, reading: Reading) -> None:
    _names("repositories", system.repositories, files, "repositories", reading)
    known = files.by_folder["cloud-init"]
    if known and not any(numbers(version) <= numbers(system.cloud_init) for version in known):
        expected = f"{min(known, key=numbers)} or newer"
        reading.wrong(
            "cloud-init", f"cloud-init {system.cloud_init} is not known", expected=expected
        )


def _repository(repository: CatalogRepository, files: CatalogFiles, reading: Reading) -> None:
    _names("keys", repository.keys, files, "keys", reading)
    _names("keys", repository.metadata_keys, files, "metadata-keys", reading)
    if repository.metadata == "unsigned" and repository.metadata_keys:
        reading.wrong("metadata-keys", "metadata that is unsigned has no keys")
    _once(repository.sources, "sources", reading)


def _builds(name: str, made: Builds, files: CatalogFiles, reading: Reading) -> None:
    """Packages are made of what is published, and their repository has a name of its own."""
    families = {system.family for _, system, _ in files.each("os")}
    if files.whole("os") and made.family not in families:
        hint = did_you_mean(made.family, families)
        reading.wrong("family", f"no system is of the family {made.family}", hint=hint)
    if name in files.by_folder["repositories"]:
        reading.wrong("", f"repositories/{name}.yaml has this name already")
    known = None
    if files.whole("binaries"):
        known = {program for _, source, _ in files.each("binaries") for program in source.programs}
    for path, what, expected in builds.faults(made, known):
        reading.wrong(path, what, expected=expected)


def _keys(files: CatalogFiles) -> None:
    owners: dict[str, str] = {}
    key: Key
    for name, key, reading in files.each("keys"):
        owner = owners.setdefault(key.fingerprint, name)
        if owner != name:
            reading.wrong("fingerprint", f"keys/{owner}.yaml has this key already")
        _once(key.sources, "sources", reading)


def _registries(files: CatalogFiles) -> None:
    owners: dict[str, str] = {}
    entry: ImageSources
    for name, entry, reading in files.each("registries"):
        owner = owners.setdefault(entry.prefix, name)
        if owner != name:
            reading.wrong(
                "prefix",
                f"registries/{owner}.yaml has {entry.prefix} already",
                hint="call the file the same to replace that one",
            )
        _once(entry.sources, "sources", reading)


def _families(
    repositories: Mapping[str, str], files: CatalogFiles, path: str, reading: Reading
) -> None:
    families = {system.family for _, system, _ in files.each("os")}
    for family, name in repositories.items():
        files.must_have("repositories", name, child(path, family), reading)
        if files.whole("os") and family not in families:
            reading.wrong(
                child(path, family),
                "no system is of this family",
                expected=" or ".join(sorted(families)) or None,
                hint=did_you_mean(family, families),
            )


def _names(
    folder: str, names: Iterable[str], files: CatalogFiles, path: str, reading: Reading
) -> None:
    for number, name in enumerate(names):
        files.must_have(folder, name, f"{path}[{number}]", reading)
    _once(names, path, reading)


def _once(names: Iterable[str], path: str, reading: Reading) -> None:
    seen: set[str] = set()
    for number, name in enumerate(names):
        if name in seen:
            reading.wrong(f"{path}[{number}]", f"{name} is listed twice")
        seen.add(name)


_RULES: Mapping[str, Callable[[Any, CatalogFiles, Reading], None]] = {
    "kubernetes": _kubernetes,
    "configuration": _configuration,
    "runtimes": _runtime,
    "calico": _calico,
    "os": _system,
    "repositories": _repository,
    "signers": _signer,
}
"""By folder."""

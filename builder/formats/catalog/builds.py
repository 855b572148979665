"""The catalog's files about RPMs that airseed builds: what is published, and what becomes of it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from builder.formats import terms
from builder.formats.catalog.words import DIGEST, NAME, SERIES, url, word
from builder.formats.reading import WRONG, MisfitError
from builder.formats.records import Field, ListOf, MapOf, Record, required
from builder.formats.shape import Flag, Text
from builder.model.recipe import SCRIPTS, PackageForm, PackedFile

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from builder.formats.reading import Reading
    from builder.model.recipe import Builds

Misfit = tuple[str, str, str | None]

_VERSION = r"[0-9]{1,5}(?:\.[0-9]{1,5}){1,3}"
_PATH = rf"/{terms.FILE_PATH}"
_MEMBER = terms.FILE_PATH
_REQUIRES = rf"(?:/?{terms.PACKAGE}(?:/{terms.PACKAGE})*)(?: (?:<|<=|=|>=|>) \$?{terms.PACKAGE})?"
_VARIABLES = ("$version", "$name", "$arch")
_TEXT_LIMIT = 64 << 10


def _source(text: str) -> str:
    plain = text
    for variable in _VARIABLES:
        plain = plain.replace(variable, "x")
    if "$" in plain:
        raise MisfitError(f"{text!r} has a $ that is not in {', '.join(_VARIABLES)}")
    url(plain)
    return text


_PROGRAM = word(NAME, "the name of a program or archive", "kubeadm")
_VERSION_TEXT = word(_VERSION, "a version", "1.18.5")

BINARIES: Record[dict[str, Any]] = Record(
    dict,
    {
        "names": Field(ListOf(_PROGRAM, least=1), required=True, name="programs"),
        "sources": Field(
            ListOf(
                Text(
                    parse=_source, expected="a URL", example="https://example.com/v$version/$name"
                ),
                least=1,
            ),
            required=True,
        ),
        "sha256": Field(
            MapOf(MapOf(MapOf(DIGEST, key=NAME), key=_VERSION), key=r"[a-z0-9]+"),
            default={},
            name="digests",
        ),
    },
)


def _packed(
    *, program: str | None, archive: str | None, text: str | None, folder: bool, **fields: Any
) -> PackedFile:
    if folder and (program or text or fields["config"]):
        raise ValueError("a folder may only have an archive")
    if not folder and [program, archive, text].count(None) != 2:  # noqa: PLR2004 -- of three
        raise ValueError("give one of program, archive, text and folder")
    if bool(fields["member"]) != bool(archive and not folder):
        raise ValueError("only a file from an archive has a member")
    # its place is the key of the mapping, see _Files
    return PackedFile(path="", program=program, archive=archive, text=text, folder=folder, **fields)


_FILE = Record(
    _packed,
    {
        "program": Field(_PROGRAM),
        "archive": Field(_PROGRAM),
        "member": Field(word(_MEMBER, "a name in the archive", "crictl")),
        "text": Field(Text[str](lines=True, longest=_TEXT_LIMIT, expected="the file's content")),
        "folder": Field(Flag(), default=False),
        "config": Field(Flag(), default=False),
    },
)


class _Files:
    """Reads and writes files by their paths."""

    def read(self, value: Any, path: str, reading: Reading) -> tuple[PackedFile, ...]:
        files: Any = _BY_PATH.read(value, path, reading)
        if files is WRONG:
            return WRONG  # type: ignore[no-any-return] # stands for any value
        return tuple(replace(file, path=name) for name, file in files.items())

    def write(self, value: Iterable[PackedFile]) -> dict[str, Any]:
        return {file.path: _FILE.write(file) for file in value}

    def schema(self) -> dict[str, Any]:
        return _BY_PATH.schema()


_BY_PATH = MapOf(_FILE, key=_PATH)
FILES = _Files()
SCRIPTS_SHAPE = MapOf(Text[str](lines=True, longest=_TEXT_LIMIT), key="|".join(SCRIPTS))
_FORM = Record(
    PackageForm,
    {
        "summary": Field(Text[str](longest=200), required=True),
        "requires": Field(
            ListOf(word(_REQUIRES, "NAME, or NAME >= VERSION", "iptables >= 1.4.21")), default=()
        ),
        "files": Field(FILES, required=True),
        "scripts": Field(SCRIPTS_SHAPE, default={}),
    },
)
BUILDS: Record[dict[str, Any]] = Record(
    dict,
    required(
        {
            "family": word(NAME, "a family of systems", "el7"),
            "release": word(r"[A-Za-z0-9_.+~^]+", "an RPM's release", "0.airseed1"),
            "licence": Text[str](longest=200),
            "url": Text(parse=url, expected="a URL", example="https://kubernetes.io/"),
            "series": MapOf(MapOf(_VERSION_TEXT, key=terms.PACKAGE), key=SERIES),
            "packages": MapOf(_FORM, key=terms.PACKAGE),
        }
    ),
)


def faults(builds: Builds, programs: Collection[str] | None) -> Iterator[Misfit]:
    """Return what does not fit together: path, what is wrong, what was expected.

    ``programs`` are those that are published, None where not all of them are known.
    """
    if len({frozenset(row) for row in builds.series.values()}) > 1:
        yield "series", "the rows name different packages", None
    for series, row in builds.series.items():
        for name in row.keys() - builds.packages.keys():
            yield f"series.{series}.{name}", "there is no such package", _either(builds.packages)
    for name, form in builds.packages.items():
        path = f"packages.{name}"
        for file in form.files:
            if programs is not None and file.origin and file.origin not in programs:
                what = f"nothing under binaries is called {file.origin}"
                yield f"{path}.files.{file.path}", what, _either(programs)
        for number, text in enumerate(form.requires):
            wanted = re.search(r"\$(\S+)", text)
            if wanted and wanted[1] not in builds.packages:
                what = f"no package is called {wanted[1]}"
                yield f"{path}.requires[{number}]", what, _either(builds.packages)


def _either(names: Iterable[str]) -> str | None:
    return " or ".join(sorted(names)) or None

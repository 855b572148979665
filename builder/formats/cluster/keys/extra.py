"""Keys for what else goes into the bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.formats.cluster import terms
from builder.formats.records import Field, ListOf, Record, TextOr
from builder.formats.shape import Text
from builder.formats.terms import PACKAGE
from builder.formats.terms import digest as read_digest
from builder.formats.terms import source as read_source
from builder.model.cluster import Extra, ExtraFile, ExtraManifest

if TYPE_CHECKING:
    from typing import Any


def _file(source: str, path: str | None, sha256: Any) -> ExtraFile:
    if path is None:
        path = terms.file_name(source)
        try:
            terms.file_path(path)
        except ValueError:
            raise ValueError(f"{path[:80]!r} cannot be its file name: add a path") from None
    return ExtraFile(path=path, source=source, digest=sha256)


def _bare_file(text: str) -> ExtraFile:
    return _file(read_source(text), None, None)


def _bare_manifest(text: str) -> ExtraManifest:
    return ExtraManifest(source=read_source(text))


_SOURCE = Text(
    parse=read_source,
    expected="a URL, or a path beside cluster.yaml",
    example="https://files.example.com/app.yaml",
)
_SHA256 = Field(
    Text(
        parse=read_digest,
        expected="64 lower-case hexadecimal digits",
        longest=71,
        example="4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865",
    ),
    title="SHA-256",
    doc="The SHA-256 that the file must have. Without it, the first lock trusts what it gets.",
)
EXTRA = Record(
    Extra,
    {
        "images": Field(
            ListOf(
                Text(
                    parse=terms.image,
                    expected="an image reference",
                    longest=500,
                    example="docker.io/library/nginx:1.25",
                ),
                partial=True,
            ),
            default=(),
            title="Images",
            doc="More container images.",
            examples=(["docker.io/library/nginx:1.25"],),
        ),
        "packages": Field(
            ListOf(
                Text(pattern=PACKAGE, expected="a package name", example="chrony", longest=255),
                partial=True,
            ),
            default=(),
            title="Packages",
            doc="More RPMs, by name or name-version, with what they need.",
            examples=(["chrony"],),
        ),
        "files": Field(
            ListOf(
                TextOr(
                    Text(
                        parse=_bare_file,
                        expected="a URL, or a path beside cluster.yaml",
                        example="files/banner.txt",
                    ),
                    Record(
                        _file,
                        {
                            "source": Field(
                                _SOURCE, required=True, title="Source", doc="Where it comes from."
                            ),
                            "path": Field(
                                Text(
                                    parse=terms.file_path,
                                    expected="a relative path",
                                    example="tools/helm.tar.gz",
                                    longest=200,
                                ),
                                title="Path",
                                doc="Its place below files/ in the bundle; by default the last "
                                "part of the source.",
                            ),
                            "sha256": _SHA256,
                        },
                    ),
                ),
                partial=True,
            ),
            default=(),
            title="Files",
            doc="More files, put below files/ in the bundle.",
            examples=(["files/banner.txt"],),
        ),
        "manifests": Field(
            ListOf(
                TextOr(
                    Text(
                        parse=_bare_manifest,
                        expected="a URL, or a path beside cluster.yaml",
                        example="manifests/ingress.yaml",
                    ),
                    Record(
                        lambda source, sha256: ExtraManifest(source=source, digest=sha256),
                        {
                            "source": Field(
                                _SOURCE, required=True, title="Source", doc="Where it comes from."
                            ),
                            "sha256": _SHA256,
                        },
                    ),
                ),
                partial=True,
            ),
            default=(),
            title="Manifests",
            doc="Kubernetes manifests, applied in this order after the network plugin; the images "
            "that they start are found and added.",
            examples=(["manifests/ingress.yaml"],),
        ),
    },
    partial=True,
)

"""Keys for what a cluster is made of: system, Kubernetes, runtime, network plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.formats.cluster import terms
from builder.formats.records import Field, ListOf, Record, TextOr
from builder.formats.shape import Number, OneOf, Text
from builder.model.cluster import Base, ChangeSettings, Cni, Runtime, System
from builder.model.version import bare

if TYPE_CHECKING:
    from builder.model.cluster import Packages
    from builder.model.version import Version


def _release_of(version: Version, packages: Packages) -> tuple[Version, Packages]:
    return version, packages


def _word(example: str) -> Text[str]:
    return Text(
        pattern=r"[a-z][a-z0-9-]{0,62}",
        expected="a word of lower-case letters, digits and dashes",
        example=example,
        advice=terms.apart,
    )


def _release(example: str) -> Text[str]:
    return Text(
        pattern=r"[0-9A-Za-z][0-9A-Za-z.+~^-]{0,62}",
        expected="a version",
        example=example,
        advice=lambda text: f"write {bare(text)}" if bare(text) != text else None,
    )


OS = Record(
    System,
    {
        "name": Field(
            _word("centos"), title="System", doc="The distribution, as the catalog names it."
        ),
        "version": Field(_release("7.6"), title="Release", doc="Its release."),
        "base": Field(
            TextOr(
                Text(
                    parse=lambda text: Base(kind="core" if text == "core" else "empty"),
                    pattern="core|empty",
                    expected="core, empty or packages: FILE",
                    example="core",
                ),
                Record(
                    lambda packages: Base(kind="packages", file=packages),
                    {
                        "packages": Field(
                            Text(
                                parse=terms.local,
                                expected="a path beside cluster.yaml",
                                example="image-packages.txt",
                            ),
                            required=True,
                            title="Package list",
                            doc="A file with the output of `rpm -qa` on your image.",
                        )
                    },
                ),
            ),
            default=Base(),
            verbs=("lock",),
            title="What nodes have already",
            examples=("core", {"packages": "image-packages.txt"}),
            doc="Packages that are on a node before airseed's: `core` (the minimal installation), "
            "`empty`, or your own image's list. They are not put into the bundle.",
        ),
    },
    advice=lambda text: terms.apart(text) or f"write {{name: {text}}}",
)
_EXACT = Text(parse=terms.release, expected="a Kubernetes version", example="1.18.5", longest=40)
KUBERNETES = TextOr(
    Text(
        parse=lambda text: _release_of(terms.release(text), "repository"),
        expected="a Kubernetes version",
        example="1.18.5",
        longest=40,
    ),
    Record(
        _release_of,
        {
            "version": Field(
                _EXACT,
                required=True,
                title="Release",
                doc="The exact Kubernetes version.",
            ),
            "packages": Field(
                OneOf(("repository", "built")),
                default="repository",
                title="RPMs",
                doc="From a repository, or built here from the programs that upstream publishes "
                "and signed with your own key: for releases whose RPMs no repository has any more.",
                examples=("built",),
            ),
        },
    ),
)
CHANGES = Record(
    ChangeSettings,
    {
        "from": Field(
            _EXACT,
            name="start",
            verbs=("lock",),
            title="What runs",
            doc="The Kubernetes that runs now: lock and bundle then have what leads from there to "
            "`kubernetes`, minor by minor.",
        ),
        "through": Field(
            ListOf(_EXACT, lone=True, most=20),
            default=(),
            verbs=("lock",),
            title="Releases on the way",
            doc="Releases to go through; of any other minor in between, the newest that the "
            "catalog has.",
            examples=(["1.19.16", "1.20.15"],),
        ),
        "at-once": Field(
            Number(least=1, most=1000),
            default=1,
            title="Workers at once",
            doc="How many workers may be changed at a time; control planes go one by one. "
            "Default: 1.",
            examples=(1,),
        ),
    },
    title="how a cluster that runs is changed",
)
RUNTIME = TextOr(
    Text(
        parse=lambda text: Runtime(name=text),
        pattern=r"[a-z][a-z0-9-]{0,62}",
        expected="a runtime's name",
        example="docker",
        advice=terms.apart,
    ),
    Record(
        Runtime,
        {
            "name": Field(_word("docker"), title="Runtime", doc="docker or containerd."),
            "version": Field(_release("19.03.9"), title="Release", doc="Its release."),
        },
    ),
)
CNI = TextOr(
    Text(
        parse=lambda text: Cni(name=text),
        pattern=r"[a-z][a-z0-9-]{0,62}",
        expected="a network plugin's name, or none",
        example="calico",
        advice=terms.apart,
    ),
    Record(
        Cni,
        {
            "name": Field(_word("calico"), required=True, title="Plugin", doc="calico or none."),
            "version": Field(
                _release("3.18"), title="Release", doc="A release, or a series for its newest."
            ),
            "install": Field(
                OneOf(("operator", "manifest")),
                title="Way of installing",
                doc="By Tigera's operator, or by the plain manifest.",
                examples=("operator",),
            ),
        },
    ),
)

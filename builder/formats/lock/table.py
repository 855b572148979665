"""The table of the lock's fields: it reads, describes and writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.formats.reading import kind
from builder.formats.records import Field, ListOf, Record, required
from builder.formats.shape import Flag, Number, OneOf, Text
from builder.formats.terms import FILE_PATH
from builder.model.artifact import (
    Blob,
    Build,
    File,
    Image,
    ImageManifest,
    Input,
    Package,
    Repository,
)
from builder.model.digest import Digest
from builder.model.lock import Fingerprint, Lock, Subject
from builder.model.platform import Platform, parse_wanted
from builder.model.reference import Reference
from builder.model.rpm import Nevra
from builder.model.signer import ImageSignature

if TYPE_CHECKING:
    from typing import Any

    from builder.formats.reading import Reading
    from builder.model.artifact import Artifact

_LARGEST_SIZE = 1 << 50
_FOLDERS = {
    "key": "keys/",
    "manifest": "manifests/",
    "file": "files/",
    "repodata": "yum/",
    "signer": "images/signers/",
}


class _ByKind:
    """Reads and writes an artifact by what its ``kind`` says."""

    def read(self, value: Any, path: str, reading: Reading) -> Artifact:
        if not isinstance(value, dict):
            return _wrong(reading, path, f"{kind(value)} is not an artifact", "a mapping")
        rest = dict(value)
        word = rest.pop("kind", None)
        if not isinstance(word, str) or word not in _KINDS:
            known = " or ".join(_KINDS)
            return _wrong(reading, f"{path}.kind", "this kind of artifact is unknown", known)
        artifact: Artifact = _KINDS[word].read(rest, path, reading)
        return artifact

    def write(self, value: Artifact) -> dict[str, Any]:
        word = value.kind if isinstance(value, File) else _WORDS[type(value)]
        return {"kind": word, **_KINDS[word].write(value)}

    def schema(self) -> dict[str, Any]:
        variants = {word: record.schema() for word, record in _KINDS.items()}
        for word, variant in variants.items():
            variant["properties"] = {"kind": {"const": word}, **variant["properties"]}
            variant["required"] = ["kind", *variant["required"]]
        return {"oneOf": list(variants.values())}


def _wrong(reading: Reading, path: str, what: str, expected: str) -> Artifact:
    wrong: Artifact = reading.wrong(path, what, expected=expected)
    return wrong


_DIGEST = Text(parse=Digest.parse, expected="a digest", longest=71)
_SIZE = Number(most=_LARGEST_SIZE)
_SOURCES = ListOf(Text[str](longest=8192))
_NAMES = ListOf(Text[str]())
_FINGERPRINT = Text[str](pattern="[0-9A-F]{16,64}", expected="a key's fingerprint")
_TRUST = OneOf(("pinned", "signed", "first-use"))
_COMMON = required({"digest": _DIGEST, "size": _SIZE, "sources": _SOURCES})
_WHY: dict[str, Field[Any]] = {
    "neededBy": Field(_NAMES, required=True, name="needed_by"),
    "trust": Field(_TRUST, required=True),
}
_WORD = Text[str](pattern=r"[A-Za-z0-9][A-Za-z0-9._-]*", expected="a name")
_HOPS = Field(
    ListOf(Text[str](pattern=r"[0-9]+(?:\.[0-9]+){2}", expected="a release"), most=64), default=()
)
_PLATFORM = Text(parse=Platform.parse, expected="a platform")
_MEDIA_TYPE = Text[str](pattern=r"[a-z0-9]+/[A-Za-z0-9.+-]+", expected="a media type")
_MANIFEST = Record(
    ImageManifest,
    required(
        {"platform": _PLATFORM, "digest": _DIGEST, "config": _DIGEST, "layers": ListOf(_DIGEST)}
    ),
)
_INPUT = Record(
    Input, required({"name": _WORD, "digest": _DIGEST, "sources": _SOURCES, "trust": _TRUST})
)
_BUILD = Record(
    Build,
    required({"by": Text[str](longest=100), "order": _DIGEST, "inputs": ListOf(_INPUT, least=1)}),
)
_SIGNATURE = Record(
    ImageSignature, required({"digest": _DIGEST, "size": _SIZE, "blobs": ListOf(_DIGEST)})
)


def _blob(*, name: str, digest: Digest, **rest: Any) -> Blob:
    if name != str(digest):
        raise ValueError("the name of a blob is its digest")
    return Blob(digest=digest, **rest)


def _file(word: str) -> Record[Artifact]:
    def build(*, name: str, **rest: Any) -> File:
        if not name.startswith(_FOLDERS[word]):
            raise ValueError(f"a {word} lies below {_FOLDERS[word]}, not at {name!r}")
        return File(kind=word, path=name, **rest)  # type: ignore[arg-type] # a key of _FOLDERS

    fingerprint = {"fingerprint": Field(_FINGERPRINT, required=True)} if word == "key" else {}
    fields: dict[str, Field[Any]] = {
        "name": Field(Text(pattern=FILE_PATH, expected="a plain relative path"), required=True),
        **_COMMON,
        **fingerprint,
        **_WHY,
    }
    return Record(build, fields)


_KINDS: dict[str, Record[Any]] = {
    "repository": Record(
        Repository,
        {
            "name": Field(_WORD, required=True),
            **_COMMON,
            **required({"keys": ListOf(_FINGERPRINT), "signed": Flag()}),
        },
    ),
    "rpm": Record(
        Package,
        {
            "name": Field(Text(parse=Nevra.parse, expected="a NEVRA"), required=True, name="nevra"),
            **_COMMON,
            **required({"repository": _WORD, "keys": ListOf(_FINGERPRINT), "requested": Flag()}),
            **_WHY,
            "fromBase": Field(ListOf(Text[str]()), name="from_base", default=()),
            "built": Field(_BUILD),
            "hops": _HOPS,
        },
    ),
    "image": Record(
        Image,
        {
            "name": Field(
                Text(parse=Reference.parse, expected="an image reference"),
                required=True,
                name="reference",
            ),
            **_COMMON,
            "mediaType": Field(_MEDIA_TYPE, required=True, name="media_type"),
            "manifests": Field(ListOf(_MANIFEST, least=1), required=True),
            "roles": Field(ListOf(OneOf(("control-plane", "worker"))), required=True),
            **_WHY,
            "signedBy": Field(_WORD, name="signed_by"),
            "signatures": Field(ListOf(_SIGNATURE), default=()),
            "hops": _HOPS,
        },
    ),
    "blob": Record(
        _blob,
        {
            "name": Field(Text[str](), required=True),
            **_COMMON,
            "mediaType": Field(_MEDIA_TYPE, required=True, name="media_type"),
        },
    ),
    **{word: _file(word) for word in _FOLDERS},
}
_WORDS = {Repository: "repository", Package: "rpm", Image: "image", Blob: "blob"}
ARTIFACT = _ByKind()
SUBJECT = Record(
    Subject,
    {
        "name": Field(Text[str](), required=True, name="cluster"),
        **required(dict.fromkeys(("kubernetes", "os", "base", "runtime", "cni"), Text[str]())),
        "platforms": Field(ListOf(_PLATFORM, least=1), required=True),
        "imagePlatforms": Field(
            ListOf(Text(parse=parse_wanted, expected="a platform, or all"), least=1),
            name="image_platforms",
            default=(),
        ),
        "demand": Field(Text(parse=Fingerprint.parse, expected="a fingerprint", longest=81)),
        "hops": _HOPS,
    },
)


def _lock(*, format: int, cluster: Subject, artifacts: tuple[Artifact, ...]) -> Lock:  # noqa: A002, ARG001 -- the document's key, checked before
    def those(*types: type) -> tuple[Any, ...]:
        return tuple(artifact for artifact in artifacts if isinstance(artifact, types))

    return Lock(
        subject=cluster,
        images=those(Image),
        blobs=those(Blob),
        repositories=those(Repository),
        packages=those(Package),
        files=those(File),
    )


LOCK = Record(
    _lock, required({"format": Number(), "cluster": SUBJECT, "artifacts": ListOf(ARTIFACT)})
)

"""The lock as text: canonical JSON, one artifact a line, so that a diff reads well.

The bytes are a pure function of the value: fixed key order, sorted artifacts, no time stamps,
ASCII. The reader is strict, since everything right of the air gap trusts what it returns.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from builder.errors import DocumentError, Fault
from builder.formats.reading import WRONG, Reading, kind
from builder.formats.records import Field, ListOf, Record
from builder.formats.shape import Choice, Flag, Number, Text
from builder.formats.signers import path_of as signer_path
from builder.formats.text import json_value, read_text
from builder.model.artifact import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    Artifact,
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
from builder.model.lock import FORMAT, Fingerprint, Lock, Subject
from builder.model.platform import Platform, parse_wanted
from builder.model.reference import Reference
from builder.model.rpm import Nevra
from builder.model.signer import ImageSignature

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_LARGEST_SIZE = 1 << 50
_FOLDERS = {
    "key": "keys/",
    "manifest": "manifests/",
    "file": "files/",
    "repodata": "yum/",
    "signer": "images/signers/",
}
_SAFE_PATH = r"[A-Za-z0-9_+@=,:~][A-Za-z0-9._+@=,:~-]*(?:/[A-Za-z0-9_+@=,:~][A-Za-z0-9._+@=,:~-]*)*"


def write(lock: Lock) -> bytes:
    """Render a lock; equal locks give equal bytes."""
    lines = [_line(_artifact_fields(artifact)) for artifact in _ordered(lock)]
    head = f'{{\n"format": {FORMAT},\n"cluster": {_line(_subject_fields(lock.subject))},\n'
    body = ",\n".join(lines)
    return f'{head}"artifacts": [\n{body}\n]\n}}\n'.encode("ascii")


def read(path: Path) -> Lock:
    """Read a lock file; raise DocumentError with every mistake in it."""
    return parse(read_text(path), str(path))


def parse(text: str, name: str) -> Lock:
    """Read a lock's text; ``name`` is what errors call it."""
    value = json_value(text, name) if text.lstrip()[:1] in {"{", "["} else None
    reading = Reading(name)
    if not isinstance(value, dict) or "format" not in value:
        fault = Fault(
            where="", what="this is not a lock", expected="a file that airseed lock wrote"
        )
        raise DocumentError(name, [fault])
    if value["format"] != FORMAT:
        fault = Fault(
            where="format",
            what=f"the lock has format {str(value['format'])[:20]}",
            expected=f"format {FORMAT}",
            hint="make the lock again, or use the airseed that wrote it",
        )
        raise DocumentError(name, [fault])
    lock = _LOCK.read(value, "", reading)
    reading.finish()
    _check(lock, reading)
    reading.finish()
    return lock


def _ordered(lock: Lock) -> Iterator[Artifact]:
    groups: tuple[Iterable[Artifact], ...] = (
        lock.repositories,
        lock.files,
        lock.packages,
        lock.images,
        lock.blobs,
    )
    for group in groups:
        yield from sorted(group, key=lambda artifact: artifact.name)


def _line(fields: dict[str, Any]) -> str:
    return json.dumps(fields, ensure_ascii=True)


def _subject_fields(subject: Subject) -> dict[str, Any]:
    return {
        "name": subject.cluster,
        "kubernetes": subject.kubernetes,
        "os": subject.os,
        "base": subject.base,
        "runtime": subject.runtime,
        "cni": subject.cni,
        "platforms": [str(platform) for platform in subject.platforms],
        **(
            {"imagePlatforms": [str(platform) for platform in subject.image_platforms]}
            if subject.image_platforms
            else {}
        ),
        **({"demand": str(subject.demand)} if subject.demand else {}),
    }


def _artifact_fields(artifact: Artifact) -> dict[str, Any]:
    common = {
        "name": artifact.name,
        "digest": str(artifact.digest),
        "size": artifact.size,
        "sources": list(artifact.sources),
    }
    if isinstance(artifact, Repository):
        return {
            "kind": "repository",
            **common,
            "keys": list(artifact.keys),
            "signed": artifact.signed,
        }
    if isinstance(artifact, Package):
        return {
            "kind": "rpm",
            **common,
            "repository": artifact.repository,
            "keys": list(artifact.keys),
            "requested": artifact.requested,
            "neededBy": list(artifact.needed_by),
            "trust": artifact.trust,
            **({"built": _build_fields(artifact.built)} if artifact.built else {}),
        }
    if isinstance(artifact, Image):
        return {
            "kind": "image",
            **common,
            "mediaType": artifact.media_type,
            "manifests": [_manifest_fields(manifest) for manifest in artifact.manifests],
            "roles": list(artifact.roles),
            "neededBy": list(artifact.needed_by),
            "trust": artifact.trust,
            **_signature_fields(artifact),
        }
    if isinstance(artifact, Blob):
        return {"kind": "blob", **common, "mediaType": artifact.media_type}
    fields = {"kind": artifact.kind, **common}
    if artifact.fingerprint:
        fields["fingerprint"] = artifact.fingerprint
    return {**fields, "neededBy": list(artifact.needed_by), "trust": artifact.trust}


def _build_fields(build: Build) -> dict[str, Any]:
    return {
        "by": build.by,
        "order": str(build.order),
        "inputs": [
            {
                "name": one.name,
                "digest": str(one.digest),
                "sources": list(one.sources),
                "trust": one.trust,
            }
            for one in build.inputs
        ],
    }


def _signature_fields(image: Image) -> dict[str, Any]:
    """Write what is known of an image's signatures; most have none."""
    found: dict[str, Any] = {"signedBy": image.signed_by} if image.signed_by else {}
    if image.signatures:
        found["signatures"] = [
            {
                "digest": str(one.digest),
                "size": one.size,
                "blobs": [str(blob) for blob in one.blobs],
            }
            for one in image.signatures
        ]
    return found


def _manifest_fields(manifest: ImageManifest) -> dict[str, Any]:
    return {
        "platform": str(manifest.platform),
        "digest": str(manifest.digest),
        "config": str(manifest.config),
        "layers": [str(layer) for layer in manifest.layers],
    }


class _ByKind:
    """Reads an artifact by what its ``kind`` says."""

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

    def schema(self) -> dict[str, Any]:
        return {"type": "object"}


def _wrong(reading: Reading, path: str, what: str, expected: str) -> Artifact:
    wrong: Artifact = reading.wrong(path, what, expected=expected)
    return wrong


_DIGEST = Text(parse=Digest.parse, expected="a digest", longest=71)
_SIZE = Number(most=_LARGEST_SIZE)
_SOURCES = ListOf(Text[str](longest=8192))
_NAMES = ListOf(Text[str]())
_FINGERPRINT = Text[str](pattern="[0-9A-F]{16,64}", expected="a key's fingerprint")
_TRUST = Choice(("pinned", "signed", "first-use"))
_COMMON: dict[str, Field[Any]] = {
    "digest": Field(_DIGEST, required=True),
    "size": Field(_SIZE, required=True),
    "sources": Field(_SOURCES, required=True),
}
_WHY: dict[str, Field[Any]] = {
    "neededBy": Field(_NAMES, required=True, name="needed_by"),
    "trust": Field(_TRUST, required=True),
}
_WORD = Text[str](pattern=r"[A-Za-z0-9][A-Za-z0-9._-]*", expected="a name")
_PLATFORM = Text(parse=Platform.parse, expected="a platform")
_MEDIA_TYPE = Text[str](pattern=r"[a-z0-9]+/[A-Za-z0-9.+-]+", expected="a media type")

_MANIFEST = Record(
    ImageManifest,
    {
        "platform": Field(_PLATFORM, required=True),
        "digest": Field(_DIGEST, required=True),
        "config": Field(_DIGEST, required=True),
        "layers": Field(ListOf(_DIGEST), required=True),
    },
)


_BUILD = Record(
    Build,
    {
        "by": Field(Text[str](longest=100), required=True),
        "order": Field(_DIGEST, required=True),
        "inputs": Field(
            ListOf(
                Record(
                    Input,
                    {
                        "name": Field(_WORD, required=True),
                        "digest": Field(_DIGEST, required=True),
                        "sources": Field(_SOURCES, required=True),
                        "trust": Field(_TRUST, required=True),
                    },
                ),
                least=1,
            ),
            required=True,
        ),
    },
)


_SIGNATURE = Record(
    ImageSignature,
    {
        "digest": Field(_DIGEST, required=True),
        "size": Field(_SIZE, required=True),
        "blobs": Field(ListOf(_DIGEST), required=True),
    },
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

    fields: dict[str, Field[Any]] = {
        "name": Field(
            Text[str](pattern=_SAFE_PATH, expected="a plain relative path"), required=True
        ),
        **_COMMON,
        **_WHY,
    }
    if word == "key":
        fields["fingerprint"] = Field(_FINGERPRINT, required=True)
    return Record(build, fields)


_KINDS: dict[str, Record[Any]] = {
    "repository": Record(
        Repository,
        {
            "name": Field(_WORD, required=True),
            **_COMMON,
            "keys": Field(ListOf(_FINGERPRINT), required=True),
            "signed": Field(Flag(), required=True),
        },
    ),
    "rpm": Record(
        Package,
        {
            "name": Field(Text(parse=Nevra.parse, expected="a NEVRA"), required=True, name="nevra"),
            **_COMMON,
            "repository": Field(_WORD, required=True),
            "keys": Field(ListOf(_FINGERPRINT), required=True),
            "requested": Field(Flag(), required=True),
            **_WHY,
            "built": Field(_BUILD),
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
            "roles": Field(ListOf(Choice(("control-plane", "worker"))), required=True),
            **_WHY,
            "signatures": Field(ListOf(_SIGNATURE), default=()),
            "signedBy": Field(_WORD, name="signed_by"),
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

_SUBJECT = Record(
    Subject,
    {
        "name": Field(Text[str](), required=True, name="cluster"),
        "kubernetes": Field(Text[str](), required=True),
        "os": Field(Text[str](), required=True),
        "base": Field(Text[str](), required=True),
        "runtime": Field(Text[str](), required=True),
        "cni": Field(Text[str](), required=True),
        "platforms": Field(ListOf(_PLATFORM, least=1), required=True),
        "imagePlatforms": Field(
            ListOf(Text(parse=parse_wanted, expected="a platform, or all"), least=1),
            name="image_platforms",
            default=(),
        ),
        "demand": Field(Text(parse=Fingerprint.parse, expected="a fingerprint", longest=81)),
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


_LOCK = Record(
    _lock,
    {
        "format": Field(Number(), required=True),
        "cluster": Field(_SUBJECT, required=True),
        "artifacts": Field(ListOf(_ByKind()), required=True),
    },
)


def _check(lock: Lock, reading: Reading) -> None:
    """Check what no single artifact can: names are unique and point at each other."""
    if lock is WRONG:
        return
    for what, names in (
        ("image", [image.name for image in lock.images]),
        ("repository", [repository.name for repository in lock.repositories]),
        ("path", [content.path for content in lock.contents]),
    ):
        for name in sorted(name for name, times in Counter(names).items() if times > 1):
            reading.wrong(name, f"the {what} appears twice")
    _check_images(lock, reading)
    _check_sources(lock, reading)
    repositories = {repository.name: repository for repository in lock.repositories}
    keys = {file.fingerprint for file in lock.files if file.kind == "key"}
    for package in lock.packages:
        if package.repository not in repositories:
            reading.wrong(package.name, f"the repository {package.repository!r} is not in the lock")
        for key in package.keys:
            if key not in keys:
                reading.wrong(package.name, f"the key {key} is not in the lock")
    for file in lock.files:
        folder = re.match(r"yum/([^/]+)/repodata/[^/]+$", file.path)
        if file.kind == "repodata" and (not folder or folder[1] not in repositories):
            reading.wrong(file.path, "this repodata belongs to no repository of the lock")


def _check_sources(lock: Lock, reading: Reading) -> None:
    for image in lock.images:
        for source in image.sources:
            try:
                Reference.parse(source)
            except ValueError as error:
                reading.wrong(image.name, f"a source of it: {error}")
    found = {one.path: one.sources for one in lock.packages}
    found |= {one.path: one.sources for one in lock.files}
    for path, sources in found.items():
        for source in sources:
            if not _is_sound(source):
                reading.wrong(path, f"{source[:80]!r} is no source")


def _is_sound(source: str) -> bool:
    """Tell whether a source can be taken apart: brackets, for an address, are all that may not."""
    if "[" not in source and "]" not in source:
        return True
    try:
        urlsplit(source)
    except ValueError:
        return False
    return True


def _check_images(lock: Lock, reading: Reading) -> None:
    signers = {file.path for file in lock.files if file.kind == "signer"}
    for image in lock.images:
        if image.signed_by and signer_path(image.signed_by) not in signers:
            reading.wrong(image.name, f"the signer {image.signed_by!r} is not in the lock")
    _check_blobs(lock, reading)


def _check_blobs(lock: Lock, reading: Reading) -> None:
    blobs = {blob.digest: blob for blob in lock.blobs}
    used: set[Digest] = set()
    for image in lock.images:
        tops = {image.digest, *(manifest.digest for manifest in image.manifests)}
        inner = {d for m in image.manifests for d in (m.config, *m.layers)}
        inner |= image.signed_digests
        used |= tops | inner
        for digest in sorted((tops | inner) - blobs.keys()):
            reading.wrong(image.name, f"its blob {digest} is not in the lock")
        for digest in sorted(tops & blobs.keys()):
            if blobs[digest].media_type not in (*INDEX_TYPES, *MANIFEST_TYPES):
                reading.wrong(image.name, f"its manifest {digest} has the type of something else")
        top = blobs.get(image.digest)
        if top is not None and (top.size, top.media_type) != (image.size, image.media_type):
            reading.wrong(image.name, "its size or media type is not that of its blob")
        for one in image.signatures:
            own = blobs.get(one.digest)
            if own is not None and (own.size != one.size or own.media_type not in MANIFEST_TYPES):
                reading.wrong(image.name, "a signature's size or media type is not its blob's")
    for digest in sorted(blobs.keys() - used):
        reading.wrong(str(digest), "the blob belongs to no image")

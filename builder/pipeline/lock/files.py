"""Locking, plain files: public keys, Kubernetes manifests, and the user's own files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from builder.errors import AirseedError, Fault, UnavailableError, VerificationError
from builder.formats import manifests as manifest_format
from builder.formats.text import decode
from builder.model.artifact import File
from builder.model.catalog.kubernetes import ROLES
from builder.model.demand import WantedImage, merged, operator_images
from builder.model.digest import Digest
from builder.model.source import is_url
from builder.rpm.certificates import is_known_to_rpm
from builder.rpm.keys import RpmKey, load_keys
from builder.sources import file as file_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from builder.bundle.source import Source
    from builder.http import Client
    from builder.model.artifact import FileKind, Trust
    from builder.model.catalog.repositories import Key as PinnedKey
    from builder.model.demand import Demand, WantedFile
    from builder.pipeline.lock.resolving import Resolving
    from builder.sources.file import SourceDocument

_KEY_LIMIT = 1 << 20
_MANIFEST_LIMIT = 32 << 20
_LARGEST_FILE = 64 << 30
"""Bytes of a file of the user's whose size nobody says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyring:
    files: tuple[File, ...]
    by_fingerprint: dict[str, tuple[RpmKey, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedManifest:
    file: File
    content: manifest_format.Manifest


def keys(resolving: Resolving) -> Keyring:
    """Fetch the public keys and hold them against their pinned fingerprints.

    Keys that only sign metadata stay outside: without one, the packages' signatures count.
    """
    parts = resolving.each("keys", resolving.wanted.keys, lambda key: _key(resolving, key))
    by_fingerprint = {file.fingerprint or "": its_keys for file, its_keys in parts}
    for key in resolving.wanted.metadata_keys:
        if key.fingerprint in by_fingerprint:
            continue
        try:
            document = _fetch_key(resolving, key)
        except UnavailableError as error:
            for fault in error.faults or (error.fault,):
                resolving.reporter.warn(f"metadata is not checked with {key.name}: {fault}")
        else:
            by_fingerprint[key.fingerprint] = _pinned(key, document.content)
    return Keyring(files=tuple(file for file, _ in parts), by_fingerprint=by_fingerprint)


def _fetch_key(resolving: Resolving, key: PinnedKey) -> SourceDocument:
    """Take the pinned key out of the first document that has it, and nothing besides.

    It is armoured, since rpm of EL7 imports no other.
    """

    def armoured(content: bytes) -> bytes:
        pinned = _pinned(key, content)
        return pinned[0].armoured if pinned else content

    def check(content: bytes) -> None:
        keys = load_keys(content, where="")
        fingerprints = [public.fingerprint for public in keys]
        if key.fingerprint in fingerprints and content != keys[0].armoured:
            raise VerificationError("there is more in it than the pinned key")
        if key.fingerprint not in fingerprints:
            raise VerificationError(
                f"this is the key {' and '.join(fingerprints)}",
                expected=key.fingerprint,
                hint="a key that was replaced upstream needs a new fingerprint in the catalog",
            )

    path = f"keys/{key.name}.asc"
    return _document(resolving, path, key.sources, _KEY_LIMIT, check=check, convert=armoured)


def _pinned(key: PinnedKey, content: bytes) -> tuple[RpmKey, ...]:
    return tuple(
        public for public in load_keys(content, where="") if public.fingerprint == key.fingerprint
    )


def _key(resolving: Resolving, key: PinnedKey) -> tuple[File, tuple[RpmKey, ...]]:
    try:
        document = _fetch_key(resolving, key)
    except UnavailableError as error:
        signed = [
            repository.name
            for repository in resolving.wanted.repositories
            if key.name in repository.keys
        ]
        raise resolving.advised(error, signed) from error
    path = f"keys/{key.name}.asc"
    file = _file(resolving, "key", path, document, key.sources, ("packages",), "pinned")
    pinned = _pinned(key, document.content)
    if not all(is_known_to_rpm(public.content) for public in pinned):
        raise VerificationError(
            "rpm of EL7 does not read this key, so no node would install what it signed",
            where=path,
            expected="an RSA or DSA key",
        )
    return replace(file, fingerprint=key.fingerprint), pinned


def manifests(resolving: Resolving) -> tuple[LockedManifest, ...]:
    return tuple(
        resolving.each(
            "manifests", resolving.wanted.manifests, lambda wanted: _manifest(resolving, wanted)
        )
    )


def _manifest(resolving: Resolving, wanted: WantedFile) -> LockedManifest:
    name = wanted.sources[0] if wanted.is_local else wanted.path

    def check(content: bytes) -> None:
        resources = manifest_format.read(decode(content, name), name, applied=True).resources
        if not resources or not all(
            resource.kind and resource.api_version for resource in resources
        ):
            # a page of HTML is YAML too, and starts no image
            raise VerificationError(
                "this is not a Kubernetes manifest",
                expected="documents with apiVersion and kind",
                hint="it may be a login or error page; open the URL in a browser",
            )

    document = _document(
        resolving, wanted.path, wanted.sources, _MANIFEST_LIMIT, expected=wanted.digest, check=check
    )
    trust: Trust = "pinned" if wanted.digest else "first-use"
    file = _file(
        resolving, "manifest", wanted.path, document, wanted.sources, wanted.needed_by, trust
    )
    parsed = manifest_format.read(decode(document.content, name), name)
    if wanted.own_sources:
        for secret in parsed.secrets:
            resolving.reporter.warn(
                f"{wanted.own_sources[0]}: {secret} goes into lock.d and bundle with its value",
                hint="whoever has the bundle can read it: apply it once the cluster is up",
            )
    return LockedManifest(file=file, content=parsed)


def started(wanted: Demand, manifests: Iterable[LockedManifest]) -> tuple[WantedImage, ...]:
    images: list[WantedImage] = []
    kinds: set[str] = set()
    for manifest in manifests:
        kinds.update(resource.kind for resource in manifest.content.resources)
        images += (
            WantedImage(reference=image.reference, roles=ROLES, needed_by=manifest.file.needed_by)
            for image in manifest.content.images
        )
    calico = wanted.calico
    if calico is not None and any(image.reference == calico.operator for image in images):
        images += operator_images(calico, kinds)
    return merged(images)


def extras(resolving: Resolving) -> tuple[File, ...]:
    """Weigh and hash the user's own files; they are read once, and not kept."""
    return tuple(
        resolving.each("files", resolving.wanted.files, lambda wanted: _extra(resolving, wanted))
    )


def _extra(resolving: Resolving, wanted: WantedFile) -> File:
    known = _known(resolving, wanted.path, wanted.sources)
    if known is not None and wanted.digest in {None, known.digest} and not wanted.is_local:
        return known
    faults: list[Fault] = []
    client, folder = resolving.access.client, resolving.folder
    for source in file_source.sources(wanted.sources, None, client, folder):
        try:
            digest, size = _weigh(source, client)
        except AirseedError as error:
            faults.append(error.fault)
            continue
        if wanted.digest in {None, digest}:
            return File(
                kind="file",
                path=wanted.path,
                digest=digest,
                size=size,
                sources=wanted.sources,
                needed_by=wanted.needed_by,
                trust="pinned" if wanted.digest else "first-use",
            )
        if wanted.is_local:
            raise _changed(wanted.sources[0], digest, wanted.digest)
        faults.append(Fault(where=source.name, what=f"sent {digest}", expected=str(wanted.digest)))
    raise UnavailableError(
        "no source has this file",
        where=wanted.path,
        hint="check the address, the network and proxy, and the sha256 in cluster.yaml",
        faults=faults,
    )


def _weigh(source: Source, client: Client) -> tuple[Digest, int]:
    """Read a file of unknown size through; give its digest and size."""
    hasher, size = hashlib.sha256(), 0

    def begin() -> None:
        nonlocal hasher, size
        hasher, size = hashlib.sha256(), 0

    def take(piece: memoryview) -> None:
        nonlocal size
        hasher.update(piece)
        size += len(piece)

    file_source.through(source, client, begin, take, most=_LARGEST_FILE)
    return Digest(hasher.hexdigest()), size


def _known(resolving: Resolving, path: str, sources: tuple[str, ...]) -> File | None:
    """Return a file of the earlier lock, if it may stay.

    Another release or another URL of the user's has the same place; with no source in common the
    earlier file is not what is asked for now.
    """
    if resolving.may_move(path) or resolving.before is None:
        return None
    known = next((file for file in resolving.before.files if file.path == path), None)
    return known if known is not None and not {*sources}.isdisjoint(known.sources) else None


def _document(
    resolving: Resolving,
    path: str,
    sources: tuple[str, ...],
    limit: int,
    *,
    check: Callable[[bytes], None],
    expected: Digest | None = None,
    convert: Callable[[bytes], bytes] = bytes,
) -> SourceDocument:
    """Take a document from beside the earlier lock, or from the first source that has it.

    ``convert`` makes what is kept, and locked, of what a source gives.
    """
    known = _known(resolving, path, sources)
    local = not any(is_url(source) for source in sources)
    if known is not None and expected in {None, known.digest} and not local:
        content = resolving.kept.find(known.digest)
        if content is None:
            expected = known.digest
        elif _passes(content, check):
            return file_source.SourceDocument(content=content, digest=known.digest, source="lock")
    client, folder = resolving.access.client, resolving.folder
    if local:
        content = convert(file_source.read_local(folder / sources[0], limit))
        digest = Digest.of(content)
        if expected not in {None, digest}:
            raise _changed(sources[0], digest, expected)
        check(content)  # what is wrong with it is its author's to mend
        return file_source.SourceDocument(content=content, digest=digest, source=sources[0])
    document = file_source.first(
        path,
        sources,
        lambda source: convert(file_source.read(source, client, folder, limit)),
        expected=expected,
        check=check,
    )
    resolving.passed_over(path, document.source, document.passed_over)
    return document


def _passes(content: bytes, check: Callable[[bytes], None]) -> bool:
    """Return whether a kept document is still what is asked for: a key's pin may have moved."""
    try:
        check(content)
    except VerificationError:
        return False
    return True


def _changed(source: str, digest: Digest, expected: Digest | None) -> VerificationError:
    return VerificationError(
        f"the file has {digest}",
        where=source,
        expected=f"{expected}, as cluster.yaml says",
        hint="correct the file, or its sha256 in cluster.yaml",
    )


def _file(
    resolving: Resolving,
    kind: FileKind,
    path: str,
    document: SourceDocument,
    sources: tuple[str, ...],
    needed_by: tuple[str, ...],
    trust: Trust,
) -> File:
    resolving.kept.put(document.content)
    return File(
        kind=kind,
        path=path,
        digest=document.digest,
        size=len(document.content),
        sources=sources,
        needed_by=needed_by,
        trust=trust,
    )

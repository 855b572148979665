"""A registry as destination: what is missing moves, what names it comes last.

Blobs go up by the engine (``bundle.transfer``), once each; another repository of the registry
mounts what is there already. Then manifests by digest, then indexes, then tags: a tag never names
what is incomplete. Where a registry refuses an index of which it lacks some platforms, as
docker-registry does, the platform's manifest takes the tag.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from builder import threads
from builder.bundle.download import Job
from builder.bundle.transfer import Policy, Transfer
from builder.http import StatusError
from builder.model.artifact import INDEX_TYPES
from builder.model.image_names import ImageNames
from builder.oci.layout import signature_tag
from builder.oci.push import BlobPlace, refusal
from builder.oci.scope import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from builder.bundle.source import Source
    from builder.model.artifact import Blob, Image
    from builder.model.cluster import Registry
    from builder.model.digest import Digest
    from builder.model.lock import Lock
    from builder.oci.push import Pusher
    from builder.report import Progress, Reporter

State = Literal["there", "pushed"]
_SPARSE = {400, 404, 422}
"""Statuses with which registries refuse an index without some of its manifests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    image: Image
    name: str
    """In the registry."""
    digest: Digest
    """What its name there means: the image's own, or that of one platform's manifest."""
    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class _Upload:
    scope: Scope
    blob: Blob
    session: str = ""

    @property
    def path(self) -> str:
        return f"{self.scope.path}@{self.blob.digest}"

    @property
    def name(self) -> str:
        return f"{self.scope.repository} sha256:{self.blob.digest.short}"

    @property
    def size(self) -> int:
        return self.blob.size

    @property
    def digest(self) -> Digest:
        return self.blob.digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be done, after the registry was asked for what it has."""

    there: tuple[Pushed, ...]
    images: tuple[Image, ...]
    """That are missing, or whose tags mean something else."""
    uploads: tuple[_Upload, ...]
    """Each blob once."""
    mounts: tuple[_Upload, ...]
    """Blobs that another repository of the registry has, or will have by then."""
    holders: dict[Digest, str]
    """A repository for each of those."""

    @property
    def size(self) -> int:
        return sum(upload.size for upload in self.uploads)


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    plan: Plan
    pushed: tuple[Pushed, ...]
    """Empty after a dry run."""


class RegistryDestination:
    """Fill one registry; ``read`` gives the bytes of an index or manifest."""

    def __init__(
        self,
        pusher: Pusher,
        registry: Registry,
        lock: Lock,
        read: Callable[[Digest], bytes],
        *,
        workers: int = 6,
    ) -> None:
        self._pusher = pusher
        self._registry = registry
        self._names = ImageNames(registry)
        self._images = lock.images
        self._blobs = {blob.digest: blob for blob in lock.blobs}
        self._read = read
        self._workers = workers

    def plan(self) -> Plan:
        """Ask what is there; raise FetchError."""
        tagged = threads.each(self._images, self._tagged, most=self._workers)
        there, missing = [], []
        holders: dict[Digest, str] = {}
        for image, digest in zip(self._images, tagged, strict=True):
            if digest is not None and digest in {image.digest, image.manifests[0].digest}:
                there.append(self._pushed(image, digest, "there"))
                holders |= dict.fromkeys(image.digests, self._scope(image).path)
            else:
                missing.append(image)
        wanted = {upload.path: upload for image in missing for upload in self._parts(image)}
        has = threads.each(wanted.values(), self._has, most=self._workers)
        lacking = []
        for upload, there_already in zip(wanted.values(), has, strict=True):
            if there_already:
                holders[upload.digest] = upload.scope.path
            else:
                lacking.append(upload)
        uploads: list[_Upload] = []
        mounts: list[_Upload] = []
        for upload in lacking:
            (mounts if upload.digest in holders else uploads).append(upload)
            holders.setdefault(upload.digest, upload.scope.path)
        return Plan(
            there=tuple(there),
            images=tuple(missing),
            uploads=tuple(uploads),
            mounts=tuple(mounts),
            holders=holders,
        )

    def _parts(self, image: Image) -> Iterator[_Upload]:
        """Return what has to be there before an image's manifests."""
        scope = self._scope(image)
        for digest in sorted(image.digests | image.signed_digests):
            blob = self._blobs[digest]
            if not blob.kept:
                yield _Upload(scope=scope, blob=blob)

    def _has(self, upload: _Upload) -> bool:
        return self._pusher.has_blob(upload.scope, upload.digest)

    def _scope(self, image: Image) -> Scope:
        host, _, path = self._names.repository(image.reference).partition("/")
        return Scope(host=host, path=path, actions="pull,push")

    def fill(
        self,
        plan: Plan,
        sources: Callable[[Blob], tuple[Source, ...]],
        reporter: Reporter,
        *,
        policy: Policy | None = None,
    ) -> list[Pushed]:
        """Do what was planned; return what every image's name means now.

        Raise UnavailableError with all that could not be brought there; what could, stays.
        """
        policy = policy or Policy(workers=self._workers)
        with reporter.progress(str(self._registry), plan.size) as progress:
            self._move(plan.uploads, sources, progress, policy)
            mounted = threads.each(
                plan.mounts,
                lambda upload: self._mount(upload, plan.holders[upload.digest]),
                most=self._workers,
            )
            self._move([upload for upload in mounted if upload], sources, progress, policy)
        threads.each(plan.images, self._put_parts, most=self._workers)
        pushed = threads.each(plan.images, self._put_tag, most=self._workers)
        return sorted([*plan.there, *pushed], key=lambda one: one.name)

    def _tagged(self, image: Image) -> Digest | None:
        scope = self._scope(image)
        return self._pusher.tagged(scope, image.reference.tag or str(image.digest))

    def _move(
        self,
        uploads: Iterable[_Upload],
        sources: Callable[[Blob], tuple[Source, ...]],
        progress: Progress,
        policy: Policy,
    ) -> None:
        jobs = [
            Job(
                wanted=upload,
                place=BlobPlace(
                    self._pusher,
                    upload.scope,
                    upload.digest,
                    upload.size,
                    session=upload.session,
                ),
                sources=sources(upload.blob),
            )
            for upload in uploads
        ]
        if jobs:
            Transfer(
                jobs,
                progress,
                policy=policy,
                finished=lambda _: None,
                tick=lambda _: None,
            ).run()

    def _mount(self, upload: _Upload, path: str) -> _Upload | None:
        """Mount a blob; return what has to be uploaded after all."""
        session = self._pusher.mount(upload.scope, upload.digest, path)
        return None if session is None else replace(upload, session=session)

    def _put_parts(self, image: Image) -> None:
        """Put what no tag of the image's own names: its platforms' manifests, its signatures."""
        scope = self._scope(image)
        if image.media_type in INDEX_TYPES:
            for part in image.manifests:
                self._put(scope, str(part.digest), part.digest)

    def _put_tag(self, image: Image) -> Pushed:
        scope = self._scope(image)
        name = image.reference.tag or str(image.digest)
        digest = image.digest
        try:
            self._pusher.put_manifest(scope, name, image.media_type, self._read(digest))
        except StatusError as error:
            if not (image.media_type in INDEX_TYPES and error.status in _SPARSE):
                raise refusal(error) from error
            digest = image.manifests[0].digest
            if image.reference.tag:
                self._put(scope, name, digest)
        for signature in image.signatures[:1]:
            self._put(scope, signature_tag(image.digest), signature.digest)
        return self._pushed(image, digest, "pushed")

    def _put(self, scope: Scope, reference: str, digest: Digest) -> None:
        kind = self._blobs[digest].media_type
        try:
            self._pusher.put_manifest(scope, reference, kind, self._read(digest))
        except StatusError as error:
            raise refusal(error) from error

    def _pushed(self, image: Image, digest: Digest, state: State) -> Pushed:
        name = self._names.name(image.reference)
        return Pushed(image=image, name=name, digest=digest, state=state)

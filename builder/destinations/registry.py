"""A registry as destination: what is missing moves, what names it comes last.

Blobs go up by the engine (``bundle.transfer``), once each; another repository of the registry
mounts what is there already. Then manifests by digest, then signatures, then tags: a tag never
names what is incomplete. Where a registry refuses an index of which it lacks some platforms, as
docker-registry does, the platform's manifest takes the tag.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeVar

from builder import threads
from builder.bundle.policy import Policy
from builder.destinations import refusals
from builder.errors import FetchError
from builder.http import StatusError
from builder.model.artifact import INDEX_TYPES
from builder.model.image_names import ImageNames
from builder.oci.layout import signature_tag
from builder.oci.scope import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from builder.bundle.source import Supply
    from builder.model.artifact import Blob, Image
    from builder.model.digest import Digest
    from builder.model.lock import Lock
    from builder.model.reference import Reference
    from builder.model.registry import Registry
    from builder.oci.push import Pusher
    from builder.oci.uploads import Uploads
    from builder.report import Progress, Reporter

State = Literal["there", "pushed"]
_SPARSE = {400, 404, 422}
"""Statuses with which registries refuse an index without some of its manifests."""
_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One name that an image gets."""

    image: Image
    reference: Reference
    """Whose name it is: the image's own, or another that kubeadm may ask for."""
    name: str
    """In the registry."""
    scope: Scope

    @property
    def tag(self) -> str:
        """Return the tag that nodes ask for, also where the image was pinned by digest alone."""
        return self.reference.tagged.tag or str(self.image.digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    target: Target
    digest: Digest
    """What its name there means: the image's own, or that of one platform's manifest."""
    state: State

    @property
    def image(self) -> Image:
        return self.target.image

    @property
    def name(self) -> str:
        return self.target.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
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
class RegistryPlan:
    """What is to be done, after the registry was asked for what it has."""

    there: tuple[Pushed, ...]
    targets: tuple[Target, ...]
    """That are missing or not whole, or whose tags mean something else."""
    meant: dict[str, Digest]
    """What the tags of those mean now, by name."""
    uploads: tuple[Upload, ...]
    """Each blob once."""
    mounts: tuple[Upload, ...]
    """Blobs that another repository of the registry has, or will have by then."""
    holders: dict[Digest, str]
    """A repository for each of those."""
    foreign: tuple[str, ...]
    """Tags under which somebody else's signatures lie; they stay."""
    clashes: tuple[Target, ...]
    """Names that mean another image of an earlier plan, whose they stay."""

    @property
    def size(self) -> int:
        return sum(upload.size for upload in self.uploads)

    @property
    def images(self) -> dict[str, Image]:
        """Return what each name is to mean."""
        targets = (*(pushed.target for pushed in self.there), *self.targets)
        return {target.name: target.image for target in targets}


def signatures_of(target: Target) -> Iterator[tuple[str, Digest]]:
    """Yield the name of cosign's tag, ``PATH:TAG`` without the host, and what is to lie there."""
    for signature in target.image.signatures[:1]:
        yield f"{target.scope.path}:{signature_tag(target.image.digest)}", signature.digest


def _all_of(image: Image) -> frozenset[Digest]:
    return image.digests | image.signed_digests


class RegistryDestination:
    """Fill one registry; ``read`` gives the bytes of an index or manifest."""

    def __init__(
        self,
        pusher: Pusher,
        registry: Registry,
        lock: Lock,
        read: Callable[[Digest], bytes],
        *,
        uploads: Uploads,
        ours: Callable[[str], Collection[Digest]],
    ) -> None:
        """``ours`` tells what airseed has put under a name before."""
        self._pusher = pusher
        self._registry = registry
        self._blobs = {blob.digest: blob for blob in lock.blobs}
        self._read = read
        self._uploads = uploads
        self._ours = ours
        self._foreign: set[str] = set()
        names = ImageNames(registry)
        also = names.also(image.reference for image in lock.images)
        self.targets = tuple(
            self._target(names, image, reference)
            for image in lock.images
            for reference in (image.reference, *also.get(image.reference, ()))
        )

    def _target(self, names: ImageNames, image: Image, reference: Reference) -> Target:
        host, _, path = names.repository(reference).partition("/")
        scope = Scope(host=host, path=path, actions="pull,push")
        return Target(image=image, reference=reference, name=names.name(reference), scope=scope)

    def plan(self, earlier: Sequence[RegistryPlan] = ()) -> RegistryPlan:
        """Ask what is there; raise FetchError, or UnavailableError with all that was refused.

        What ``earlier`` plans bring there counts as being there, and their names stay theirs.
        """
        targets, clashes = self._apart(earlier)
        tagged = self._each(targets, self._tagged)
        there, missing, meant = [], [], {}
        holders = {digest: path for plan in earlier for digest, path in plan.holders.items()}
        coming = {one.path for plan in earlier for one in (*plan.uploads, *plan.mounts)}
        for target, (digest, whole) in zip(targets, tagged, strict=True):
            if digest is not None and whole:
                there.append(Pushed(target=target, digest=digest, state="there"))
                holders |= dict.fromkeys(target.image.digests, target.scope.path)
            else:
                missing.append(target)
                if digest is not None:
                    meant[target.name] = digest
        wanted = {upload.path: upload for target in missing for upload in self._parts(target)}
        has = self._each(wanted.values(), lambda one: one.path in coming or self._has(one))
        lacking = []
        for upload, there_already in zip(wanted.values(), has, strict=True):
            if there_already:
                holders[upload.digest] = upload.scope.path
            else:
                lacking.append(upload)
        uploads: list[Upload] = []
        mounts: list[Upload] = []
        for upload in lacking:
            (mounts if upload.digest in holders else uploads).append(upload)
            holders.setdefault(upload.digest, upload.scope.path)
        return RegistryPlan(
            there=tuple(there),
            targets=tuple(missing),
            meant=meant,
            uploads=tuple(uploads),
            mounts=tuple(mounts),
            holders=holders,
            foreign=tuple(sorted(self._foreign)),
            clashes=clashes,
        )

    def _apart(self, earlier: Sequence[RegistryPlan]) -> tuple[list[Target], tuple[Target, ...]]:
        """Return what is left to do after earlier plans, and whose names mean something else."""
        images = {name: image for plan in reversed(earlier) for name, image in plan.images.items()}
        left, clashes = [], []
        for target in self.targets:
            image = images.get(target.name, target.image)
            if image.digest != target.image.digest:
                clashes.append(target)
            elif target.name not in images or not _all_of(target.image) <= _all_of(image):
                left.append(target)
        return left, tuple(clashes)

    def fill(
        self,
        plan: RegistryPlan,
        supply: Callable[[Blob], Supply],
        reporter: Reporter,
        *,
        before_tags: Callable[[], object] = lambda: None,
    ) -> list[Pushed]:
        """Do what was planned; return what every name means now.

        Raise UnavailableError with all that could not be brought there; what could, stays.
        """
        with reporter.progress(str(self._registry), plan.size) as progress:
            self._move(self._knock(plan.uploads), supply, progress)
            mounted = self._each(
                plan.mounts, lambda upload: self._mount(upload, plan.holders[upload.digest])
            )
            self._move([upload for upload in mounted if upload], supply, progress)
        self._each(plan.targets, self._put_parts)
        before_tags()  # also where all is there: it may be another cluster's, who prunes it later
        pushed = self._each(plan.targets, lambda target: self._put_tag(target, plan.meant))
        return sorted([*plan.there, *pushed], key=lambda one: one.name)

    def _each(self, items: Iterable[_Item], work: Callable[[_Item], _Answer]) -> list[_Answer]:
        """Do the same for all, and say all that was refused; an unreachable registry ends it."""

        def attempt(item: _Item) -> _Answer | FetchError:
            try:
                return work(item)
            except FetchError as error:
                if error.status is None:
                    raise
                return error

        answers = threads.each(items, attempt, most=Policy.workers)
        errors = [answer for answer in answers if isinstance(answer, FetchError)]
        if errors:
            raise refusals.together(errors, str(self._registry))
        return [answer for answer in answers if not isinstance(answer, FetchError)]

    def _tagged(self, target: Target) -> tuple[Digest | None, bool]:
        """Return what a name means, and whether all of the image that the lock has is there.

        An index is the same for each choice of platforms, so its tag says nothing of them.
        """
        image = target.image
        with refusals.of_project(target.scope):
            digest = self._pusher.tagged(target.scope, target.tag)
            whole = digest in {image.digest, image.manifests[0].digest}
            for part in image.manifests:
                if whole and part.digest != digest:
                    found = self._pusher.tagged(target.scope, str(part.digest))
                    whole = found == part.digest
            for name, signature in signatures_of(target):
                found = self._pusher.tagged(target.scope, name.rpartition(":")[2])
                if found == signature:
                    continue
                if found is None or found in self._ours(name):
                    whole = False
                else:
                    self._foreign.add(name)
        return digest, whole

    def _has(self, upload: Upload) -> bool:
        with refusals.of_project(upload.scope):
            return self._pusher.has_blob(upload.scope, upload.digest)

    def _parts(self, target: Target) -> Iterator[Upload]:
        """Return what has to be there before an image's manifests."""
        image = target.image
        for digest in sorted(_all_of(image)):
            blob = self._blobs[digest]
            if not blob.kept:
                yield Upload(scope=target.scope, blob=blob)

    def _knock(self, uploads: tuple[Upload, ...]) -> list[Upload]:
        """Begin one upload of each project, so that a missing one is told before all others."""
        firsts = {upload.scope.path.partition("/")[0]: upload for upload in uploads}

        def begun(upload: Upload) -> Upload:
            with refusals.of_project(upload.scope):
                session = self._pusher.begin(upload.scope, patient=True)
            return replace(upload, session=session)

        begin = {upload.path: upload for upload in self._each(firsts.values(), begun)}
        return [begin.get(upload.path, upload) for upload in uploads]

    def _move(
        self,
        uploads: Iterable[Upload],
        supply: Callable[[Blob], Supply],
        progress: Progress,
    ) -> None:
        if wanted := list(uploads):
            # slow to load, for what is often nothing
            from builder.destinations.blob_moves import move  # noqa: PLC0415

            move(wanted, supply, progress, pusher=self._pusher, begun=self._uploads)

    def _mount(self, upload: Upload, path: str) -> Upload | None:
        """Mount a blob; return what has to be uploaded after all."""
        session = self._pusher.mount(upload.scope, upload.digest, path)
        return None if session is None else replace(upload, session=session)

    def _put_parts(self, target: Target) -> None:
        """Put what no tag of the image's own names: its platforms' manifests, its signatures."""
        image = target.image
        if image.media_type in INDEX_TYPES:
            for part in image.manifests:
                self._put(target.scope, str(part.digest), part.digest)
        for name, signature in signatures_of(target):
            if name not in self._foreign:
                self._put(target.scope, name.rpartition(":")[2], signature)

    def _put_tag(self, target: Target, meant: dict[str, Digest]) -> Pushed:
        scope, image, digest = target.scope, target.image, target.image.digest
        kind = image.media_type
        if meant.get(target.name) == digest:  # an immutable one could not be put again
            return Pushed(target=target, digest=digest, state="pushed")
        try:
            try:
                self._pusher.put_manifest(scope, target.tag, kind, self._read(digest))
            except StatusError as error:
                if not (kind in INDEX_TYPES and error.status in _SPARSE):
                    raise
                digest = image.manifests[0].digest
                kind = self._blobs[digest].media_type
                self._pusher.put_manifest(scope, target.tag, kind, self._read(digest))
        except StatusError as error:
            raise refusals.of_tag(error, target.name, kind, meant.get(target.name)) from error
        return Pushed(target=target, digest=digest, state="pushed")

    def _put(self, scope: Scope, reference: str, digest: Digest) -> None:
        kind = self._blobs[digest].media_type
        try:
            self._pusher.put_manifest(scope, reference, kind, self._read(digest))
        except StatusError as error:
            raise refusals.of_tag(error, f"{scope.repository}@{digest}", kind) from error

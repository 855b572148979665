"""Blobs on their way into a registry: all of them by the engine (``bundle.transfer``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.bundle.download import Job
from builder.bundle.policy import Policy
from builder.bundle.transfer import Transfer
from builder.oci.blob_place import BlobPlace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from builder.bundle.source import Supply
    from builder.destinations.registry import Upload
    from builder.model.artifact import Blob
    from builder.oci.push import Pusher
    from builder.oci.uploads import Uploads
    from builder.report import Progress


def move(
    uploads: Iterable[Upload],
    supply: Callable[[Blob], Supply],
    progress: Progress,
    *,
    pusher: Pusher,
    begun: Uploads,
) -> None:
    """Bring blobs there; ``begun`` remembers across runs what a registry keeps of them.

    Raise UnavailableError with all that could not be brought there; what could, stays.
    """
    jobs = [_job(upload, supply(upload.blob), pusher, begun) for upload in uploads]
    Transfer(jobs, progress, policy=Policy()).run()


def _job(upload: Upload, supply: Supply, pusher: Pusher, begun: Uploads) -> Job:
    place = BlobPlace(
        pusher,
        upload.scope,
        upload.digest,
        upload.size,
        session=upload.session,
        uploads=begun,
        keep=supply.check is not None,
    )
    return Job(
        wanted=upload,
        place=place,
        sources=supply.sources,
        check=supply.check,
        judge=supply.judge,
    )

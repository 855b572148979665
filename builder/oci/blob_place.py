"""A blob on its way into a registry, by one request or by chunks, whatever that takes."""

from __future__ import annotations

import io
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from builder.errors import FetchError
from builder.http import StatusError
from builder.oci.push import refusal
from builder.oci.registry_limits import WHOLE

if TYPE_CHECKING:
    from builder.http.upload import HttpUpload
    from builder.model.digest import Digest
    from builder.oci.push import Pusher
    from builder.oci.scope import Scope
    from builder.oci.uploads import Uploads

_REFUSED = {400, 403, 405, 411, 415, 416, 501}
"""Statuses with which registries refuse a way of sending a blob."""
_NOT_THERE = {401, 404, 413}
"""Refusals that no blob of another push can explain."""
_BREAKS = 2
"""Connections that break under one whole blob before it is sent in chunks: a proxy that refuses
a large body may close before it says so."""


class BlobPlace:
    """A blob on its way into a repository; see ``bundle.place.Place``.

    ``session`` is an upload that was begun for it; ``uploads`` remember one across runs. What a
    registry has is not read back, so whoever wants to look at the bytes has them ``keep`` here.
    """

    def __init__(
        self,
        pusher: Pusher,
        scope: Scope,
        digest: Digest,
        size: int,
        *,
        session: str = "",
        uploads: Uploads,
        keep: bool = False,
    ) -> None:
        self.host = scope.host
        self.saved = 0
        self._pusher = pusher
        self._scope = scope
        self._digest = digest
        self._size = size
        self._session = session
        self._uploads = uploads
        self._limits = pusher.limits(scope.host)
        self._upload: HttpUpload | None = None
        self._end = 0
        """Where the request that is under way ends."""
        self._chunk = WHOLE
        self._breaks = 0
        self._done = False
        self._kept = bytearray() if keep else None

    def write(self, view: memoryview, at: int) -> None:
        if self._kept is not None:
            self._kept[at:] = view
        if not at and not self.saved and not self._upload:
            self._take_up()
        offset = max(self.saved, at)
        view = view[offset - at :]
        while view:
            try:
                upload = self._upload or self._request(offset)
                piece = view[: self._end - offset]
                upload.write(piece)
                offset += len(piece)
                view = view[len(piece) :]
                if offset == self._end:
                    self._answered(upload, offset)
            except StatusError as error:
                if self._is_there(error):
                    return
                raise self._judged(error) from error
            except FetchError:
                self._broke()
                raise

    def recover(self) -> int:
        self._drop()
        if self._done:
            return self.saved
        self.saved = 0
        if self._session:
            received = self._pusher.received(self._scope, self._session)
            if received is None or received > self._size:
                self._session = ""
            else:
                self.saved = received
        return self.saved

    def readinto(self, view: memoryview, at: int) -> int:  # noqa: ARG002 -- nothing is read back
        return 0

    def open(self) -> io.BufferedReader:
        """Open the bytes that went by; only where they were kept, as documents are."""
        kept = io.BytesIO(self._kept or b"")
        return io.BufferedReader(cast("io.RawIOBase", kept))

    def finish(self) -> None:
        if not self._done:
            try:
                if not self._session:
                    self._session = self._pusher.begin(self._scope)
                self._pusher.close(self._scope, self._session, self._digest)
            except StatusError as error:
                if not self._is_there(error):
                    raise self._judged(error) from error
        self._uploads.forget(self._scope, self._digest)

    def interrupt(self) -> None:
        self._drop()

    def _take_up(self) -> None:
        """Go on with what an earlier run began, if the registry still has it."""
        if self._session:
            return
        self._session = self._uploads.take(self._scope, self._digest)
        if self._session:
            self.recover()

    def _request(self, offset: int) -> HttpUpload:
        if not self._session:
            self._session = self._pusher.begin(self._scope)
        self._chunk = self._limits.request_size(self._size)
        if self._chunk == WHOLE and not offset:
            self._end = self._size
            self._upload = self._pusher.whole(self._scope, self._session, self._digest, self._size)
        else:
            self._end = min(self._size, offset + (self._chunk or self._size))
            self._upload = self._pusher.chunk(
                self._scope, self._session, offset, self._end - offset
            )
        return self._upload

    def _answered(self, upload: HttpUpload, offset: int) -> None:
        reply = upload.finish()
        self._upload = None
        self._breaks = 0
        if reply.status == HTTPStatus.CREATED:
            self._done = True
        else:
            self._session = self._pusher.session(self._scope, reply)
            if offset < self._size:
                self._uploads.keep(self._scope, self._digest, self._session)
        self.saved = offset

    def _is_there(self, error: StatusError) -> bool:
        """Tell whether the blob came there by another push, so that ours was refused."""
        if error.temporary or error.status in _NOT_THERE:
            return False
        if not self._pusher.has_blob(self._scope, self._digest):
            return False
        self._drop()
        self._done, self.saved = True, self._size
        return True

    def _judged(self, error: StatusError) -> FetchError:
        """Tell whether the same bytes may go through in another way; then it is temporary."""
        self._drop()
        status, again = error.status, False
        if status == HTTPStatus.UNAUTHORIZED:
            self._pusher.connection.renew(self._scope, error)
            again = True
        elif status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            again = self._limits.refuse(self._chunk)
        elif status == HTTPStatus.NOT_FOUND:  # it has forgotten the upload
            self._session = ""
            again = True
        elif status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and self._chunk:
            again = True  # it has other bytes than we thought; it is asked how many
        elif status in _REFUSED:
            again = self._limits.refuse_chunks() if self._chunk else self._limits.refuse(WHOLE)
            self._session = ""
        return refusal(error, temporary=again or error.temporary)

    def _broke(self) -> None:
        """Note a connection that broke."""
        self._drop()
        self._breaks += 1
        if self._chunk == WHOLE and self._breaks == _BREAKS:
            self._limits.refuse(WHOLE)

    def _drop(self) -> None:
        if self._upload is not None:
            self._upload.close()
            self._upload = None

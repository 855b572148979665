"""Bring blobs and manifests into a registry.

Protocol: https://github.com/opencontainers/distribution-spec, version 1.1, "Push". What real
registries and the proxies before them make of it differs: a body may be too large for a proxy
(413), a session may come under http:// though the registry is asked over https://, a mount may be
refused in any way. All of that ends in a plain upload.
"""

from __future__ import annotations

import io
import re
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast
from urllib.parse import quote, urlsplit, urlunsplit

from builder import strict_json
from builder.errors import FetchError
from builder.http import StatusError, redact
from builder.model.artifact import INDEX_TYPES, MANIFEST_TYPES
from builder.model.digest import Digest

if TYPE_CHECKING:
    from builder.http import Reply
    from builder.http.upload import HttpUpload
    from builder.oci.connection import RegistryConnection
    from builder.oci.scope import Scope
    from builder.oci.uploads import Uploads

ACCEPT = ", ".join((*INDEX_TYPES, *MANIFEST_TYPES))
_OCTETS = {"Content-Type": "application/octet-stream"}
_RANGE = re.compile(r"(?:bytes=)?0-([0-9]{1,18})")
_COUNT = re.compile(r"[0-9]{1,18}")
_CREATED, _UNAUTHORIZED, _NOT_FOUND, _TOO_LARGE, _GAP = 201, 401, 404, 413, 416
_NO_HEAD = {404, 405, 501}
_REFUSED = {400, 403, 405, 411, 415, 416, 501}
"""Statuses with which registries refuse a way of sending a blob."""
_WHOLE = 0
_CHUNKS = (64 << 20, 8 << 20, 1 << 20, 256 << 10)
"""Bytes of a request where one for all is refused: nginx takes 1 MiB unless told otherwise."""
_LARGE = 256 << 20
"""A blob from here on goes in chunks at once, so that what is up stays when the line breaks."""
_BREAKS = 2
"""Connections that break under one whole blob before it is sent in chunks: a proxy that refuses
a large body may close before it says so."""
_LONGEST_ANSWER = 300.0
"""Seconds that a registry may take to hash and store a blob that it has."""


@dataclass(slots=True)
class Habits:
    """What one registry was found to take; shared by all threads."""

    chunk: int = _WHOLE
    """Bytes of one request."""
    chunked: bool = True
    """Whether it takes chunks, as far as is known."""
    least: int = 0
    """Bytes that it wants a chunk to have (OCI-Chunk-Min-Length)."""
    head: bool = True
    """Whether it answers HEAD for manifests."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def way(self, size: int) -> int:
        """Return the bytes of one request for a blob of ``size``."""
        chunk = self.chunk
        if chunk == _WHOLE and size >= _LARGE and self.chunked:
            chunk = _CHUNKS[0]
        return max(chunk, self.least) if chunk else _WHOLE

    def refuse(self, used: int) -> bool:
        """Take smaller requests from now on; return whether there are any smaller ones."""
        with self.lock:
            smaller = [size for size in _CHUNKS if self.least <= size and (not used or size < used)]
            if self.chunk == _WHOLE or self.chunk >= used > 0:
                if not (smaller and self.chunked):
                    return False
                self.chunk = smaller[0]
            return True

    def refuse_chunks(self) -> bool:
        """Send blobs whole from now on; return whether that was not refused before."""
        with self.lock:
            hope = self.chunked and self.chunk == _WHOLE
            self.chunked = False
            return hope


class Pusher:
    """Push to any number of repositories; every method raises FetchError."""

    def __init__(self, connection: RegistryConnection) -> None:
        self.connection = connection
        self._habits: dict[str, Habits] = {}
        self._lock = threading.Lock()

    def habits(self, host: str) -> Habits:
        with self._lock:
            return self._habits.setdefault(host, Habits())

    def has_blob(self, scope: Scope, digest: Digest) -> bool:
        try:
            self.connection.head(scope, f"blobs/{digest}")
        except StatusError as error:
            if error.status in _NO_HEAD:
                return False
            raise
        return True

    def tagged(self, scope: Scope, reference: str) -> Digest | None:
        """Return the digest of what a tag (or digest) names; None where there is nothing."""
        target, habits = f"manifests/{reference}", self.habits(scope.host)
        if habits.head:
            try:  # once: some answer 500 to every HEAD
                reply = self.connection.send(scope, "HEAD", target, headers={"Accept": ACCEPT})
                told = reply.headers.get("Docker-Content-Digest", "")
                if told:
                    return Digest.parse(told)
                habits.head = False
            except StatusError as error:
                if error.status == _NOT_FOUND:
                    return None
                if error.status not in _NO_HEAD and not error.temporary:
                    raise
            except ValueError:
                habits.head = False
        content = self.manifest(scope, reference)
        return None if content is None else Digest.of(content)

    def manifest(self, scope: Scope, reference: str) -> bytes | None:
        """Return what a tag or digest names; None where there is nothing."""
        target = f"manifests/{reference}"
        try:
            return self.connection.get(scope, target, accept=ACCEPT, limit=8 << 20).content
        except StatusError as error:
            if error.status == _NOT_FOUND:
                return None
            raise

    def mount(self, scope: Scope, digest: Digest, path: str) -> str | None:
        """Take a blob over from another repository of the registry.

        Return None when it is there now, else the upload that the registry began instead; empty
        if it began none.
        """
        target = f"blobs/uploads/?mount={digest}&from={quote(path, safe='/')}"
        try:
            reply = self.connection.submit(scope, "POST", target)
        except FetchError as error:
            if error.status is None:
                raise
            return ""
        return None if reply.status == _CREATED else self.session(scope, reply)

    def begin(self, scope: Scope, *, patient: bool = False) -> str:
        """Begin an upload; return where it goes on. ``patient`` asks again while that may help."""
        ask = self.connection.submit if patient else self.connection.send
        return self.session(scope, ask(scope, "POST", "blobs/uploads/"))

    def session(self, scope: Scope, reply: Reply) -> str:
        """Return where an upload goes on, by an answer to its last request."""
        least = reply.headers.get("OCI-Chunk-Min-Length", "")
        if _COUNT.fullmatch(least):
            self.habits(scope.host).least = min(int(least), _CHUNKS[0])
        location = reply.headers.get("Location", "")
        if not location:
            raise FetchError("the registry names no Location for the upload", where=scope.host)
        asked, told = urlsplit(reply.url), urlsplit(location)
        if told.netloc and told.hostname == asked.hostname:
            # behind a proxy the registry knows neither the scheme nor the port that we came by
            return urlunsplit(told._replace(scheme=asked.scheme, netloc=asked.netloc))
        if asked.scheme == "https" and told.netloc and told.scheme != "https":
            raise FetchError(
                "the registry sends the upload to another host over plain http, which is refused",
                where=f"{scope.host} -> {redact(location)}",
            )
        return location

    def received(self, scope: Scope, session: str) -> int | None:
        """Return the bytes that the registry has of an upload; None if it knows none such."""
        try:
            reply = self.connection.get(scope, session, limit=1 << 20)
        except StatusError as error:
            if error.temporary:
                raise
            return None
        match = _RANGE.fullmatch(reply.headers.get("Range", ""))
        return int(match[1]) + 1 if match and match[1] != "0" else 0

    def whole(self, scope: Scope, session: str, digest: Digest, size: int) -> HttpUpload:
        return self.connection.upload(
            scope, "PUT", _finished(session, digest), headers=_OCTETS, size=size
        )

    def chunk(self, scope: Scope, session: str, offset: int, size: int) -> HttpUpload:
        headers = {**_OCTETS, "Content-Range": f"{offset}-{offset + size - 1}"}
        return self.connection.upload(scope, "PATCH", session, headers=headers, size=size)

    def close(self, scope: Scope, session: str, digest: Digest) -> None:
        self.connection.send(
            scope,
            "PUT",
            _finished(session, digest),
            headers=_OCTETS,
            patience=_LONGEST_ANSWER,
        )

    def put_blob(self, scope: Scope, content: bytes) -> None:
        """Put a small blob, unless it is there."""
        digest = Digest.of(content)
        if not self.has_blob(scope, digest):
            session = _finished(self.begin(scope, patient=True), digest)
            self.connection.send(scope, "PUT", session, headers=_OCTETS, body=content)

    def delete(self, scope: Scope, reference: str) -> None:
        """Remove a tag, or a manifest by its digest; raise StatusError where that is refused."""
        self.connection.submit(scope, "DELETE", f"manifests/{reference}")

    def put_manifest(self, scope: Scope, reference: str, media_type: str, content: bytes) -> None:
        """Put a manifest under a tag or its digest.

        Raise StatusError with the registry's words when it refuses it.
        """
        headers = {"Content-Type": media_type}
        target = f"manifests/{reference}"
        self.connection.submit(scope, "PUT", target, headers=headers, body=content)


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
        self._habits = pusher.habits(scope.host)
        self._upload: HttpUpload | None = None
        self._end = 0
        """Where the request that is under way ends."""
        self._chunk = _WHOLE
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
        self._chunk = self._habits.way(self._size)
        if self._chunk == _WHOLE and not offset:
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
        if reply.status == _CREATED:
            self._done = True
        else:
            self._session = self._pusher.session(self._scope, reply)
            if offset < self._size:
                self._uploads.keep(self._scope, self._digest, self._session)
        self.saved = offset

    def _is_there(self, error: StatusError) -> bool:
        """Tell whether the blob came there by another push, so that ours was refused."""
        if error.temporary or error.status in {_UNAUTHORIZED, _NOT_FOUND, _TOO_LARGE}:
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
        if status == _UNAUTHORIZED:
            self._pusher.connection.renew(self._scope, error)
            again = True
        elif status == _TOO_LARGE:
            again = self._habits.refuse(self._chunk)
        elif status == _NOT_FOUND:  # it has forgotten the upload
            self._session = ""
            again = True
        elif status == _GAP and self._chunk:
            again = True  # it has other bytes than we thought; it is asked how many
        elif status in _REFUSED:
            again = self._habits.refuse_chunks() if self._chunk else self._habits.refuse(_WHOLE)
            self._session = ""
        return refusal(error, temporary=again or error.temporary)

    def _broke(self) -> None:
        """Note a connection that broke."""
        self._drop()
        self._breaks += 1
        if self._chunk == _WHOLE and self._breaks == _BREAKS:
            self._habits.refuse(_WHOLE)

    def _drop(self) -> None:
        if self._upload is not None:
            self._upload.close()
            self._upload = None


def refusal(error: StatusError, *, temporary: bool | None = None) -> FetchError:
    """Return an error with what the registry says of itself in its answer."""
    return FetchError(
        f"{error.fault.what}{reason(error)}",
        where=error.fault.where,
        hint=error.fault.hint,
        temporary=error.temporary if temporary is None else temporary,
        retry_after=error.retry_after,
        status=error.status,
    )


def reason(error: StatusError) -> str:
    """Return code and message of the first error in a registry's answer, as `` (CODE: words)``."""
    try:
        first = strict_json.load(error.content)["errors"][0]
        text = ": ".join(str(first[key]) for key in ("code", "message") if first.get(key))
    except (ValueError, TypeError, LookupError, AttributeError):
        return ""
    return f" ({text[:200]})" if text.isprintable() and text else ""


def _finished(session: str, digest: Digest) -> str:
    return f"{session}{'&' if '?' in session else '?'}digest={quote(str(digest), safe='')}"

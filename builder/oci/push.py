"""Bring blobs and manifests into a registry.

Protocol: https://github.com/opencontainers/distribution-spec, version 1.1, "Push". What real
registries and the proxies before them make of it differs: a body may be too large for a proxy
(413), a session may come under http:// though the registry is asked over https://, a mount may be
refused in any way. All of that ends in a plain upload.
"""

from __future__ import annotations

import re
import threading
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit, urlunsplit

from builder import strict_json
from builder.errors import FetchError
from builder.http import StatusError, redact
from builder.model.artifact import INDEX_TYPES, MANIFEST_TYPES
from builder.model.digest import Digest
from builder.oci.registry_limits import RegistryLimits

if TYPE_CHECKING:
    from builder.http import Reply
    from builder.http.upload import HttpUpload
    from builder.oci.connection import RegistryConnection
    from builder.oci.scope import Scope

ACCEPT = ", ".join((*INDEX_TYPES, *MANIFEST_TYPES))
_OCTETS = {"Content-Type": "application/octet-stream"}
_RANGE = re.compile(r"(?:bytes=)?0-([0-9]{1,18})")
_COUNT = re.compile(r"[0-9]{1,18}")
_NO_HEAD = {404, 405, 501}
PAGE = "what answers there is not a registry: a page to log in to, perhaps"
_LONGEST_ANSWER = 300.0
"""Seconds that a registry may take to hash and store a blob that it has."""


class Pusher:
    """Push to any number of repositories; every method raises FetchError."""

    def __init__(self, connection: RegistryConnection) -> None:
        self.connection = connection
        self._limits: dict[str, RegistryLimits] = {}
        self._lock = threading.Lock()

    def limits(self, host: str) -> RegistryLimits:
        with self._lock:
            return self._limits.setdefault(host, RegistryLimits())

    def has_blob(self, scope: Scope, digest: Digest) -> bool:
        try:
            _of_registry(scope, self.connection.head(scope, f"blobs/{digest}"))
        except StatusError as error:
            if error.status in _NO_HEAD:
                return False
            raise
        return True

    def tagged(self, scope: Scope, reference: str) -> Digest | None:
        """Return the digest of what a tag (or digest) names; None where there is nothing."""
        target, limits = f"manifests/{reference}", self.limits(scope.host)
        if limits.head:
            try:  # once: some answer 500 to every HEAD
                reply = self.connection.send(scope, "HEAD", target, headers={"Accept": ACCEPT})
                told = _of_registry(scope, reply).headers.get("Docker-Content-Digest", "")
                if told:
                    return Digest.parse(told)
                limits.head = False
            except StatusError as error:
                if error.status == HTTPStatus.NOT_FOUND:
                    return None
                if error.status not in _NO_HEAD and not error.temporary:
                    raise
            except ValueError:
                limits.head = False
        content = self.manifest(scope, reference)
        return None if content is None else Digest.of(content)

    def manifest(self, scope: Scope, reference: str) -> bytes | None:
        """Return what a tag or digest names; None where there is nothing."""
        target = f"manifests/{reference}"
        try:
            reply = self.connection.get(scope, target, accept=ACCEPT, limit=8 << 20)
            return _of_registry(scope, reply).content
        except StatusError as error:
            if error.status == HTTPStatus.NOT_FOUND:
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
        return None if reply.status == HTTPStatus.CREATED else self.session(scope, reply)

    def begin(self, scope: Scope, *, patient: bool = False) -> str:
        """Begin an upload; return where it goes on. ``patient`` asks again while that may help."""
        ask = self.connection.submit if patient else self.connection.send
        return self.session(scope, ask(scope, "POST", "blobs/uploads/"))

    def session(self, scope: Scope, reply: Reply) -> str:
        """Return where an upload goes on, by an answer to its last request."""
        least = reply.headers.get("OCI-Chunk-Min-Length", "")
        if _COUNT.fullmatch(least):
            self.limits(scope.host).want_at_least(int(least))
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

        Raise StatusError with the registry's words when it refuses it, FetchError if it has not
        got it after all: what says yes to everything may be no registry.
        """
        headers = {"Content-Type": media_type}
        target = f"manifests/{reference}"
        reply = self.connection.submit(scope, "PUT", target, headers=headers, body=content)
        if reply.status != HTTPStatus.CREATED and self.tagged(scope, reference) != Digest.of(
            content
        ):
            raise FetchError(
                f"the server answered {reply.status} to a manifest, and does not show it",
                where=f"{scope.repository}:{reference}",
                hint=PAGE,
                status=reply.status,
            )


def _of_registry(scope: Scope, reply: Reply) -> Reply:
    """Return an answer; raise FetchError for a web page, which no registry gives."""
    if reply.headers.get("Content-Type", "").startswith("text/html"):
        raise FetchError(
            "a web page answers", where=scope.repository, hint=PAGE, status=reply.status
        )
    return reply


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

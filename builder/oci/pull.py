"""Pulling from registries: manifests as raw bytes, blobs as streams (distribution-spec 1.1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from builder.errors import FetchError
from builder.http import StatusError, redact
from builder.model.artifact import INDEX_TYPES, MANIFEST_TYPES
from builder.model.digest import Digest
from builder.oci.manifest import MANIFEST_LIMIT
from builder.oci.scope import Scope

if TYPE_CHECKING:
    from builder.http import HttpStream, Reply
    from builder.oci.connection import RegistryConnection

_ACCEPT = ", ".join((*INDEX_TYPES, *MANIFEST_TYPES))
_LACKING = {400, 404, 405, 406, 415, 501}
"""What registries say to a question that they don't know, or have no answer to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawManifest:
    """Hold an index or manifest as a registry sent it, its digest computed here."""

    content: bytes = field(repr=False)
    media_type: str | None
    """What the registry said, without parameters."""
    digest: Digest


class Puller:
    """Read from registries; repositories are named ``host[:port]/path``.

    Every method raises FetchError.
    """

    def __init__(self, connection: RegistryConnection) -> None:
        self._connection = connection

    def manifest(
        self, repository: str, reference: str, *, limit: int = MANIFEST_LIMIT
    ) -> RawManifest:
        """Fetch the index or manifest under a tag or digest, retried as small documents are.

        Its digest is computed from the bytes and compared with the one that was asked for and
        with Docker-Content-Digest.
        """
        reply = self._connection.get(
            Scope.of(repository), f"manifests/{reference}", accept=_ACCEPT, limit=limit
        )
        digest = Digest.of(reply.content)
        where = redact(reply.url)
        asked = Digest.parse(reference) if reference.startswith("sha256:") else None
        for wanted, who in ((asked, "asked for"), (_announced(reply), "announced")):
            if wanted is not None and digest != wanted:
                raise FetchError(
                    f"the manifest's digest is {digest}, not the one that was {who}",
                    where=where,
                    expected=str(wanted),
                    hint="a proxy or mirror between here and the registry sends something else",
                )
        kind = reply.headers.get("Content-Type", "").partition(";")[0].strip()
        return RawManifest(content=reply.content, media_type=kind or None, digest=digest)

    def referrers(self, repository: str, digest: Digest) -> bytes | None:
        """Fetch the index of what is attached to an image (distribution-spec 1.1).

        None where the registry has neither the API nor the tag that stands in for it.
        """
        try:
            return self._connection.get(
                Scope.of(repository),
                f"referrers/{digest}",
                accept=INDEX_TYPES[0],
                limit=MANIFEST_LIMIT,
            ).content
        except StatusError as error:
            if error.status not in _LACKING:
                raise
        try:
            return self.manifest(repository, f"sha256-{digest.hex}").content
        except StatusError as error:
            if error.status not in _LACKING:
                raise
        return None

    def look(self, repository: str, reference: str) -> Reply:
        """Ask for the headers of a manifest, which registries do not count as a pull."""
        scope, target = Scope.of(repository), f"manifests/{reference}"
        try:
            return self._connection.head(scope, target, accept=_ACCEPT)
        except StatusError as error:
            if error.status not in _LACKING:
                raise
        # some registries and gateways refuse HEAD; a GET says whether it is there
        return self._connection.get(scope, target, accept=_ACCEPT, limit=MANIFEST_LIMIT)

    def blob(self, repository: str, digest: Digest, size: int, offset: int = 0) -> HttpStream:
        """Begin to read a blob; one attempt, as :meth:`builder.http.Client.open`."""
        return self._connection.open(
            Scope.of(repository), f"blobs/{digest}", size=size, offset=offset
        )

    def document(self, repository: str, digest: Digest, *, limit: int) -> bytes:
        """Fetch a small blob whole, retried as small documents are; its digest is not checked."""
        return self._connection.get(Scope.of(repository), f"blobs/{digest}", limit=limit).content


def _announced(reply: Reply) -> Digest | None:
    """Read Docker-Content-Digest; None where it is absent or of another algorithm."""
    try:
        return Digest.parse(reply.headers.get("Docker-Content-Digest", ""))
    except ValueError:
        return None

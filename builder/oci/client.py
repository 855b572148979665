"""Reading from registries: manifests as raw bytes, blobs as streams (distribution-spec 1.1)."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from builder.errors import AirseedError, FetchError
from builder.http import StatusError, redact
from builder.model.artifact import INDEX_TYPES, MANIFEST_TYPES
from builder.model.digest import Digest
from builder.model.reference import Reference
from builder.oci.hosts import base_url
from builder.oci.manifest import MANIFEST_LIMIT
from builder.oci.tokens import Authority

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from builder.http import Client, Reply, Stream
    from builder.oci.auth import Credentials

_ACCEPT = ", ".join((*INDEX_TYPES, *MANIFEST_TYPES))
_UNAUTHORIZED = 401
_LACKING = {400, 404, 405, 406, 415, 501}
"""What registries say to a question that they don't know, or have no answer to."""
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class RawManifest:
    """Hold an index or manifest as a registry sent it, its digest computed here."""

    content: bytes = field(repr=False)
    media_type: str | None
    """What the registry said, without parameters."""
    digest: Digest


class Registry:
    """Read from any number of registries; one for a whole run, shared by its threads.

    Repositories are named ``host[:port]/path``. Hosts on loopback and those in
    ``plain_http_hosts`` are asked over plain http, all others over https.
    """

    def __init__(
        self,
        client: Client,
        credentials: Credentials,
        *,
        plain_http_hosts: Iterable[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._plain = frozenset(plain_http_hosts)
        self._authority = Authority(client, credentials, plain_http_hosts=self._plain, clock=clock)

    def manifest(
        self, repository: str, reference: str, *, limit: int = MANIFEST_LIMIT
    ) -> RawManifest:
        """Fetch the index or manifest under a tag or digest, retried as small documents are.

        Its digest is computed from the bytes and compared with the one that was asked for and
        with Docker-Content-Digest. Raise FetchError.
        """
        reply = self._ask(
            repository,
            f"manifests/{reference}",
            lambda url, headers: self._client.get(
                url, headers={"Accept": _ACCEPT, **headers}, limit=limit
            ),
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

        None where the registry has neither the API nor the tag that stands in for it. Raise
        FetchError.
        """
        try:
            return self._ask(
                repository,
                f"referrers/{digest}",
                lambda url, headers: self._client.get(
                    url, headers={"Accept": INDEX_TYPES[0], **headers}, limit=MANIFEST_LIMIT
                ),
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

    def peek(self, repository: str, reference: str) -> Digest:
        """Ask for the digest under a tag only, which registries do not count as a pull.

        Raise FetchError.
        """
        return _announced(self.look(repository, reference)) or (
            self.manifest(repository, reference).digest
        )

    def look(self, repository: str, reference: str) -> Reply:
        """Ask what is said about the manifest under a tag or digest, which is no pull either.

        Raise FetchError.
        """
        return self._ask(
            repository,
            f"manifests/{reference}",
            lambda url, headers: self._client.head(url, headers={"Accept": _ACCEPT, **headers}),
        )

    def blob(self, repository: str, digest: Digest, size: int, offset: int = 0) -> Stream:
        """Begin to read a blob; one attempt, as :meth:`builder.http.Client.open`.

        Raise FetchError.
        """
        return self._ask(
            repository,
            f"blobs/{digest}",
            lambda url, headers: self._client.open(url, offset=offset, size=size, headers=headers),
        )

    def document(self, repository: str, digest: Digest, *, limit: int) -> bytes:
        """Fetch a small blob whole, retried as small documents are; its digest is not checked.

        Raise FetchError.
        """
        return self._ask(
            repository,
            f"blobs/{digest}",
            lambda url, headers: self._client.get(url, headers=headers, limit=limit),
        ).content

    def _ask(
        self, repository: str, rest: str, call: Callable[[str, dict[str, str]], _Answer]
    ) -> _Answer:
        """Call with a URL and headers; answer one 401, be it the first or an expired token's."""
        host, path = _split(repository)
        url = f"{base_url(host, self._plain)}/v2/{path}/{rest}"
        header = self._authority.header(host, path)
        try:
            return call(url, _authorization(header))
        except StatusError as error:
            if error.status != _UNAUTHORIZED:
                raise
            header = self._authority.answer(error, host, path, header)
        try:
            return call(url, _authorization(header))
        except StatusError as error:
            if error.status != _UNAUTHORIZED:
                raise
            raise self._authority.refused(error, host, path) from error


def _split(repository: str) -> tuple[str, str]:
    """Give host and path of a repository; raise AirseedError for what is none."""
    try:
        reference = Reference.parse(repository)
    except ValueError as error:
        raise AirseedError(str(error), where=repository) from error
    if reference.tag != "latest" or reference.digest or repository.endswith(":latest"):
        raise AirseedError(
            "this is a reference", where=repository, expected="a repository without tag and digest"
        )
    return reference.host, reference.path


def _authorization(header: str | None) -> dict[str, str]:
    return {"Authorization": header} if header else {}


def _announced(reply: Reply) -> Digest | None:
    """Read Docker-Content-Digest; None where it is absent or of another algorithm."""
    try:
        return Digest.parse(reply.headers.get("Docker-Content-Digest", ""))
    except ValueError:
        return None

"""A bucket: every object appears whole, so nothing is renamed; large ones go up in pieces.

boto3 is an extra (``airseed[s3]``). Credentials, region and endpoint are boto3's own: variables
(AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID), ~/.aws, or the machine's role. The digest of each object is
kept with it, so that what is there is known without reading it.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import io
from contextlib import closing, contextmanager, suppress
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from builder.backoff import TEMPORARY
from builder.bundle.policy import Policy
from builder.destinations.remote import RemotePlace, RemoteTree, digest_of
from builder.errors import FetchError, UsageError
from builder.model.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from builder.bundle.download import Wanted
    from builder.destinations.s3_session import BoundedSession
    from builder.http.environment import ClientCertificate

_PIECE = 8 << 20
"""Bytes of a piece of a large object, and of the largest that goes up at once."""
_DOCUMENT = 64 << 20
_NOT_FOUND, _FORBIDDEN = 404, 403
_APART = dt.timedelta(minutes=5)
"""Clocks that differ by more sign what services do not take; most allow a quarter of an hour."""
_HINT = "check bucket, endpoint (AWS_ENDPOINT_URL) and credentials (~/.aws, AWS_...)"
_DIGEST = "sha256"


class S3Tree(RemoteTree):
    """Fill a part of a bucket; raise UsageError without boto3, or for a URL without a bucket."""

    def __init__(
        self,
        place: str,
        *,
        url: str = "",
        ca_bundle: Path | None = None,
        certificate: ClientCertificate | None = None,
    ) -> None:
        super().__init__()
        parts = urlsplit(place)
        self.bucket, self._prefix = parts.netloc, parts.path.strip("/")
        if not self.bucket or "@" in self.bucket or parts.query or parts.fragment:
            raise UsageError(
                "names no bucket",
                where=place if "@" not in place else "s3://***",
                expected="s3://BUCKET/PREFIX",
                hint="logins belong in ~/.aws/credentials or in variables, not here",
            )
        self.client, self.session = _client(ca_bundle, certificate)
        endpoint = str(self.client.meta.endpoint_url).rstrip("/")
        self.name = f"s3://{'/'.join(filter(None, (self.bucket, self._prefix)))}"
        self.url = url or f"{endpoint}/{self.bucket}/{quote(self._prefix)}".rstrip("/")
        self.host = urlsplit(endpoint).netloc

    def close(self) -> None:
        self.client.close()

    def key(self, path: str) -> str:
        return f"{self._prefix}/{path}" if self._prefix else path

    def open(self, path: str) -> io.BufferedReader | None:
        with self.asked(path):
            try:
                body = self.client.get_object(Bucket=self.bucket, Key=self.key(path))["Body"]
            except self.client.exceptions.NoSuchKey:
                return None
            with closing(body):
                content = body.read(_DOCUMENT)
        return io.BufferedReader(io.BytesIO(content))

    def holds(
        self,
        path: str,
        digests: Collection[Digest],
        size: int | None,
        mark: str,  # noqa: ARG002 -- the object has its digest
    ) -> bool:
        head = self._head(path)
        length = head.get("ContentLength") if head is not None else None
        if head is None or length is None or size not in {None, length}:
            return False
        self.marks[path] = head.get("ETag", "")
        if said := head.get("Metadata", {}).get(_DIGEST):
            return any(one.hex == said for one in digests)
        return self._read(path, length) in digests

    def upload(self, wanted: Wanted) -> S3Place:
        return S3Place(self, wanted)

    def put(self, path: str, content: bytes) -> None:
        with self.asked(path):
            answer = self.client.put_object(
                Bucket=self.bucket,
                Key=self.key(path),
                Body=content,
                ChecksumSHA256=_base64(content),
                Metadata={_DIGEST: Digest.of(content).hex},
            )
        self.marks[path] = answer.get("ETag", "")

    def remove(self, path: str) -> None:
        with self.asked(path):
            self.client.delete_object(Bucket=self.bucket, Key=self.key(path))

    @contextmanager
    def asked(self, path: str) -> Iterator[None]:
        """Raise FetchError for what the service, or boto3, says against a request."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 -- an extra
        from botocore.parsers import ResponseParserError  # noqa: PLC0415 -- the same

        where = f"s3://{self.bucket}/{self.key(path)}"
        try:
            with self.session.attended():
                yield
        except FetchError as error:
            fault = error.fault
            raise FetchError(
                fault.what,
                where=where,
                expected=fault.expected,
                hint=_HINT,
                temporary=error.temporary,
            ) from error
        except ClientError as error:
            said = error.response
            status = said.get("ResponseMetadata", {}).get("HTTPStatusCode")
            code = said.get("Error", {}).get("Code", "")
            raise FetchError(
                f"the service answered {status} {code}".rstrip(),
                where=where,
                hint=(status == _FORBIDDEN and _clocks(said)) or _HINT,
                temporary=status in TEMPORARY,
                status=status,
            ) from error
        except BotoCoreError as error:
            raise FetchError(
                str(error),
                where=where,
                hint="check endpoint (AWS_ENDPOINT_URL) and credentials (~/.aws, AWS_...)",
                temporary=type(error).__name__ not in {"NoCredentialsError", "NoRegionError"},
            ) from error
        except (ResponseParserError, LookupError, TypeError, ValueError, RecursionError) as error:
            # boto3 reads answers as they should be, and follows redirects without counting them
            raise FetchError(
                "the answer is not one of an S3 service", where=where, hint=_HINT
            ) from error

    def _head(self, path: str) -> dict[str, Any] | None:
        try:
            with self.asked(path):
                found: dict[str, Any] = self.client.head_object(
                    Bucket=self.bucket, Key=self.key(path)
                )
        except FetchError as error:
            if error.status == _NOT_FOUND:
                return None
            raise
        return found

    def _read(self, path: str, length: int) -> Digest | None:
        with self.asked(path):
            body = self.client.get_object(Bucket=self.bucket, Key=self.key(path))["Body"]
            with closing(body):
                return digest_of(body, length)


class S3Place(RemotePlace):
    """An object on its way up: at most one piece of it is in memory."""

    def __init__(self, tree: S3Tree, wanted: Wanted) -> None:
        super().__init__(tree.host)
        self._tree = tree
        self._wanted = wanted
        self._piece = bytearray()
        self._parts: list[dict[str, Any]] = []
        self._upload = ""

    def write(self, view: memoryview, at: int) -> None:
        if at == 0:
            self.drop()
        self._piece += view
        while len(self._piece) > _PIECE:
            self._send(bytes(self._piece[:_PIECE]))
            del self._piece[:_PIECE]

    def finish(self) -> None:
        tree = self._tree
        if not self._upload:
            tree.put(self._wanted.path, bytes(self._piece))
            self._piece.clear()
            return
        self._send(bytes(self._piece))
        with tree.asked(self._wanted.path):
            answer = tree.client.complete_multipart_upload(
                **self._target, MultipartUpload={"Parts": self._parts}
            )
        tree.marks[self._wanted.path] = answer.get("ETag", "")
        self._upload = ""

    def drop(self) -> None:
        """Take back what went up: unfinished uploads cost money."""
        if self._upload:
            with suppress(FetchError), self._tree.asked(self._wanted.path):
                self._tree.client.abort_multipart_upload(**self._target)
        self._upload, self._parts = "", []
        self._piece.clear()

    @property
    def _target(self) -> dict[str, str]:
        tree = self._tree
        return {
            "Bucket": tree.bucket,
            "Key": tree.key(self._wanted.path),
            "UploadId": self._upload,
        }

    def _send(self, piece: bytes) -> None:
        tree, path = self._tree, self._wanted.path
        with tree.asked(path):
            if not self._upload:
                self._upload = tree.client.create_multipart_upload(
                    Bucket=tree.bucket,
                    Key=tree.key(path),
                    ChecksumAlgorithm="SHA256",
                    Metadata={_DIGEST: self._wanted.digest.hex},
                )["UploadId"]
            number, checksum = len(self._parts) + 1, _base64(piece)
            answer = tree.client.upload_part(
                **self._target, PartNumber=number, Body=piece, ChecksumSHA256=checksum
            )
            part = {"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": checksum}
        self._parts.append(part)


def _client(
    ca_bundle: Path | None, certificate: ClientCertificate | None
) -> tuple[Any, BoundedSession]:
    try:
        import boto3  # noqa: PLC0415 -- an extra
        from botocore.config import Config  # noqa: PLC0415 -- the same
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415 -- the same

        from builder.destinations.s3_session import BoundedSession  # noqa: PLC0415 -- the same
    except ImportError as error:
        raise UsageError(
            "s3:// needs boto3, which is not installed", hint="pip install 'airseed[s3]'"
        ) from error
    own = None
    if certificate is not None:
        files = (certificate.certificate, certificate.key or certificate.certificate)
        own = tuple(map(str, files))
    try:
        config = Config(
            client_cert=own,
            max_pool_connections=Policy.workers,
            retries={"mode": "standard"},
            s3={"addressing_style": "auto"},
        )
        client = boto3.session.Session().client(
            "s3", config=config, verify=str(ca_bundle) if ca_bundle else None
        )
    except (BotoCoreError, ValueError) as error:
        raise UsageError(
            str(error), where="AWS_ENDPOINT_URL, AWS_REGION, ~/.aws", expected="what boto3 takes"
        ) from error
    endpoint = client._endpoint  # noqa: SLF001 -- there is no public way to what it sends with
    endpoint.http_session = session = BoundedSession(endpoint.http_session)
    return client, session


def _base64(content: bytes) -> str:
    return base64.b64encode(hashlib.sha256(content).digest()).decode("ascii")


def _clocks(said: dict[str, Any]) -> str | None:
    """Say both times where they are too far apart; a request is signed with its own."""
    date = said.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    now = dt.datetime.now(dt.UTC)
    with suppress(ValueError):
        theirs = parsedate_to_datetime(date).replace(tzinfo=dt.UTC)
        if abs(now - theirs) > _APART:
            return (
                f"this machine's clock says {now:%Y-%m-%d %H:%M} UTC, the service's"
                f" {theirs:%Y-%m-%d %H:%M}: set the one that is wrong"
            )
    return None

"""What a site's own servers answer has an end, and is read as if anybody had written it."""

from __future__ import annotations

import contextlib
import gc
import json
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, cast

import pytest

from builder.backoff import Backoff
from builder.destinations import record as registry_record
from builder.destinations import s3
from builder.destinations.record import PublishedRecord
from builder.destinations.webdav import WebDavTree
from builder.errors import FetchError
from builder.http import Client, stream
from builder.model.digest import Digest
from builder.model.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.oci.push import Pusher

OK = b"HTTP/1.1 200 OK\r\n"
SUM = Digest.of(b"hello")


@contextlib.contextmanager
def answering(
    answer: bytes, again: bytes = b"", *, pause: float = 0.0
) -> Iterator[tuple[str, list[int]]]:
    """Answer every request alike, and then on and on; the list has what was sent beyond."""
    sent = [0]

    def serve(client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            asked = client.recv(65_536)
            client.sendall(answer)
            while again and not asked.startswith(b"HEAD") and sent[0] < 1 << 28:
                time.sleep(pause)
                client.sendall(again)
                sent[0] += len(again)

    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=server.accept()[:1], daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", sent
        server.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def bucket(monkeypatch: pytest.MonkeyPatch, url: str) -> Iterator[s3.S3Tree]:
    pytest.importorskip("boto3")
    for name, value in {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    with s3.S3Tree("s3://site/k8s") as tree:
        yield tree


ANSWERS = {
    "a length that is none": OK + b"Content-Length: abc\r\n\r\nhello",
    "a date that is none": OK + b"Content-Length: 5\r\nLast-Modified: yesterday\r\n\r\nhello",
    "a redirect in a circle": b"HTTP/1.1 301 M\r\nContent-Length: 0\r\nLocation: /x\r\n\r\n",
    "no HTTP": b"\x00\xffgarbage\r\n\r\n",
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_a_bucket_whose_answers_are_no_ones(monkeypatch: pytest.MonkeyPatch, answer: bytes) -> None:
    with answering(answer) as (url, _), bucket(monkeypatch, url) as tree:
        with pytest.raises(FetchError) as caught:
            tree.open("x")
        assert caught.value.fault.where == "s3://site/k8s/x"


def _leads_to(port: int, one: socket.socket) -> bool:
    try:
        return bool(one.getpeername()[1] == port)
    except (OSError, IndexError):
        return False


def connections(url: str) -> list[socket.socket]:
    """Find what this program has open to a server."""
    port = int(url.rpartition(":")[2])
    sockets = [one for one in gc.get_objects() if isinstance(one, socket.socket)]
    return [one for one in sockets if one.fileno() >= 0 and _leads_to(port, one)]


@pytest.mark.parametrize("name", ["a length that is none", "a date that is none"])
def test_a_body_whose_head_can_not_be_read_is_closed(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with answering(ANSWERS[name]) as (url, _), bucket(monkeypatch, url) as tree:
        with pytest.raises(FetchError, match="not one of an S3 service") as caught:
            tree.open("x")
        assert connections(url) == [], caught  # its frames still have what was received


def test_a_bucket_that_names_no_upload(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = OK + b"Content-Type: application/xml\r\nContent-Length: 7\r\n\r\n<a></a>"
    content = bytes((8 << 20) + 5)
    wanted = cast("Any", type("W", (), {"path": "x", "size": len(content), "digest": SUM}))
    with answering(answer) as (url, _), bucket(monkeypatch, url) as tree:
        place = tree.upload(wanted)
        with pytest.raises(FetchError, match="the answer is not one of an S3 service"):
            place.write(memoryview(content), 0)


ENDLESS = {
    "a status": (b"", b"HTTP/1.1 200 O"),
    "a header": (OK, b"X-Slow: and on and on "),
    "what comes before an answer": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "an object": (OK + b"Content-Length: 9999\r\n\r\n", b"x"),
    "an object of unknown length": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "an error": (b"HTTP/1.1 403 No\r\nContent-Length: 9999\r\n\r\n", b"<"),
}


@pytest.mark.parametrize("verb", ["open", "put"])
@pytest.mark.parametrize(("answer", "again"), ENDLESS.values(), ids=ENDLESS)
def test_a_bucket_that_drips_holds_nobody(
    monkeypatch: pytest.MonkeyPatch, answer: bytes, again: bytes, verb: str
) -> None:
    from builder.destinations import s3_session

    monkeypatch.setattr(s3_session, "_LONGEST", 1.0)
    monkeypatch.setattr(s3_session, "_SILENCE", 1.0)
    monkeypatch.setattr(stream, "_FLOOR_WINDOW", 1.0)
    with answering(answer, again, pause=0.1) as (url, _), bucket(monkeypatch, url) as tree:
        start = time.monotonic()
        with pytest.raises(FetchError) as caught:
            ask(tree, verb)
        assert time.monotonic() - start < 10
    assert caught.value.fault.where == "s3://site/k8s/x"


def ask(tree: s3.S3Tree, verb: str) -> None:
    match verb:
        case "open":
            tree.open("x")
        case "put":
            tree.put("x", b"hello")
        case "remove":
            tree.remove("x")


@pytest.mark.parametrize(
    ("status", "verb"),
    [(b"200 OK", "put"), (b"403 No", "open"), (b"403 No", "remove"), (b"500 No", "put")],
)
def test_an_answer_of_a_bucket_that_is_no_object_has_an_end(
    monkeypatch: pytest.MonkeyPatch, status: bytes, verb: str
) -> None:
    head = b"HTTP/1.1 " + status + b"\r\nConnection: close\r\n\r\n"
    with answering(head, b"x" * 65_536) as (url, sent), bucket(monkeypatch, url) as tree:
        with pytest.raises(FetchError, match="the answer does not end"):
            ask(tree, verb)
        assert sent[0] < 32 << 20


@pytest.mark.parametrize("size", [5, None])
@pytest.mark.parametrize(
    "head", [b"\r\n", b"x-amz-meta-sha256: z\xff\r\nContent-Length: 5\r\n\r\n"], ids=["no", "wrong"]
)
def test_an_object_without_length_or_digest_is_not_ours(
    monkeypatch: pytest.MonkeyPatch, head: bytes, size: int | None
) -> None:
    with answering(OK + head, b"hello" * 1000) as (url, sent), bucket(monkeypatch, url) as tree:
        assert not tree.holds("x", {SUM}, size, "")
        assert sent[0] == 0


@pytest.mark.parametrize("size", [5, None])
@pytest.mark.parametrize("known", [True, False])
def test_a_file_without_end_is_not_ours(size: int | None, *, known: bool) -> None:
    """A server that names no length, or says in HEAD what GET does not hold to."""
    head = OK + b"Connection: close\r\n" + b"Content-Length: 5\r\n" * known + b"\r\n"
    again = b"" if known else b"x" * 65_536
    with (
        answering(head + b"hello" * known, again) as (url, sent),
        Client(backoff=Backoff(attempts=1)) as client,
    ):
        tree = WebDavTree(client, url)
        assert tree.holds("x", {SUM}, size, "") is known
        assert sent[0] < 16 << 20


def test_records_without_end_end_in_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each cluster's is small enough, and there is always another cluster."""
    monkeypatch.setattr(registry_record, "_MOST_RECORDS", 50)
    monkeypatch.setattr(registry_record, "_MOST_NAMES", 200)

    class Answer:
        url = "https://reg.example/v2/"
        headers: dict[str, str] = {}  # noqa: RUF012 -- nobody changes it

        def __init__(self, **lists: list[str]) -> None:
            self.content = json.dumps(lists).encode()

    class Registered:
        """Be a registry, and the connection to it."""

        def __init__(self, clusters: int) -> None:
            self.connection = self
            self._tags = [f"cluster{number}" for number in range(clusters)]

        def get(self, _scope: object, target: str, **_: object) -> Answer:
            assert target.startswith("tags/")
            return Answer(tags=self._tags)

    for clusters in (40, 60):
        server = cast("Pusher", Registered(clusters))
        record = PublishedRecord(server, Registry(host="reg.example"), "ours")
        monkeypatch.setattr(
            record, "_read", lambda tag: {f"{tag}:{number}": frozenset() for number in range(10)}
        )
        with pytest.raises(FetchError, match="records of what airseed published without end"):
            record.stale({})

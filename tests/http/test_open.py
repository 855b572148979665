from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from builder.errors import FetchError
from builder.http import Client, HttpStream, StatusError
from builder.http import stream as stream_module

if TYPE_CHECKING:
    from http.server import BaseHTTPRequestHandler

Fixture = Any
CONTENT = bytes(range(256)) * 4096


def read(stream: HttpStream, buffer: int = 100_000, found: bytearray | None = None) -> bytes:
    view = memoryview(bytearray(buffer))
    found = bytearray() if found is None else found
    while count := stream.readinto(view):
        found += view[:count]
    return bytes(found)


@pytest.fixture(params=["socket file", "read1"])
def both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read straight from the socket's file, and the way that needs nothing private of urllib3."""
    if request.param == "read1":
        monkeypatch.setattr(stream_module, "_file_of", lambda _: None)


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("offset", [0, 1, 65_536, len(CONTENT) - 1])
def test_a_range_begins_where_it_should(
    client: Client, site: Fixture, answers: Fixture, offset: int
) -> None:
    url = site.on("/a", answers.ranged(CONTENT))
    with client.open(url, offset=offset, size=len(CONTENT)) as stream:
        assert stream.offset == offset
        assert stream.length == len(CONTENT) - offset
        assert read(stream) == CONTENT[offset:]
        assert stream.length == 0
        assert stream.readinto(memoryview(bytearray(1))) == 0
    [headers] = site.asked("/a")
    assert headers.get("Range") == (f"bytes={offset}-" if offset else None)
    assert headers["Accept-Encoding"] == "identity"


def test_a_server_without_ranges_begins_at_zero(
    client: Client, site: Fixture, answers: Fixture
) -> None:
    url = site.on("/a", answers.reply(200, CONTENT))
    with client.open(url, offset=100, size=len(CONTENT)) as stream:
        assert stream.offset == 0
        assert read(stream) == CONTENT


@pytest.mark.usefixtures("both_ways")
def test_a_cut_body_is_temporary_and_its_beginning_is_kept(
    client: Client, site: Fixture, answers: Fixture
) -> None:
    url = site.on("/a", answers.reply(200, CONTENT[:1000], announce=len(CONTENT)))
    found = bytearray()
    with client.open(url, size=len(CONTENT)) as stream, pytest.raises(FetchError) as caught:
        read(stream, 4000, found)
    assert found == CONTENT[:1000]
    assert str(caught.value).startswith(f"{url}: the ")
    assert caught.value.temporary
    assert len(site.requests) == 1


def test_the_whole_message_of_a_cut_body(client: Client, site: Fixture, answers: Fixture) -> None:
    url = site.on("/a", answers.reply(200, b"x" * 10, announce=5010))
    with client.open(url) as stream, pytest.raises(FetchError) as caught:
        read(stream)
    assert str(caught.value) == f"{url}: the body ended 5,000 bytes too early"


def test_another_size_is_refused_at_once(client: Client, site: Fixture, answers: Fixture) -> None:
    page = answers.reply(200, b"x" * 1234, Content_Type="text/html; charset=utf-8")
    url = site.on("/a", page)
    with pytest.raises(FetchError) as caught:
        client.open(url + "?Signature=abc", size=45_000_000)
    assert str(caught.value) == (
        f"{url}?Signature=***: sent 1,234 bytes of text/html where 45,000,000 bytes were expected"
    )
    assert caught.value.hint == (
        "this looks like a login or error page of a proxy or portal; open the URL in a browser"
    )
    assert not caught.value.temporary


def test_another_size_in_a_range_is_refused(
    client: Client, site: Fixture, answers: Fixture
) -> None:
    url = site.on("/a", answers.ranged(CONTENT))
    with pytest.raises(FetchError) as caught:
        client.open(url, offset=10, size=len(CONTENT) + 1)
    assert str(caught.value) == (f"{url}: sent 1,048,576 bytes where 1,048,577 bytes were expected")
    with pytest.raises(FetchError) as caught:
        client.open(url, offset=len(CONTENT) + 5, size=len(CONTENT) + 9)
    assert str(caught.value) == (
        f"{url}: the server has 1,048,576 bytes, but byte 1,048,581 was asked for"
        " (expected 1,048,585 bytes)"
    )
    assert caught.value.status == 416


def test_nothing_left_is_an_empty_stream(client: Client, site: Fixture, answers: Fixture) -> None:
    url = site.on("/a", answers.ranged(CONTENT))
    with client.open(url, offset=len(CONTENT), size=len(CONTENT)) as stream:
        assert (stream.offset, stream.length, read(stream)) == (len(CONTENT), 0, b"")


@pytest.mark.parametrize(
    "text",
    ["", "bytes 0-9/20", "bytes 11-19/20", "bytes 10-9/20", "bytes */20", "bytes 10-19", "x" * 999],
)
def test_a_wrong_range_is_refused(
    client: Client, site: Fixture, answers: Fixture, text: str
) -> None:
    url = site.on("/a", answers.reply(206, b"x" * 10, Content_Range=text))
    with pytest.raises(FetchError) as caught:
        client.open(url, offset=10, size=20)
    assert str(caught.value) == (
        f"{url}: the server sent the range {text[:80]!r} (expected bytes 10- and on)"
    )


def test_a_shorter_range_ends_early_but_well(
    client: Client, site: Fixture, answers: Fixture
) -> None:
    url = site.on("/a", answers.reply(206, b"x" * 5, Content_Range="bytes 10-14/20"))
    with client.open(url, offset=10, size=20) as stream:
        assert (stream.length, read(stream)) == (5, b"xxxxx")


def _chunked(content: bytes, *, whole: bool = True) -> object:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for start in range(0, len(content), 50_000):
            piece = content[start : start + 50_000]
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        handler.wfile.write(b"0\r\n\r\n" if whole else b"10\r\nabc")
        handler.close_connection = not whole

    return answer


def test_chunks_are_counted_against_the_size(client: Client, site: Fixture) -> None:
    url = site.on("/a", _chunked(CONTENT))
    with client.open(url, size=len(CONTENT)) as stream:
        assert stream.length is None
        assert read(stream) == CONTENT
    with (
        client.open(url, size=len(CONTENT) + 7) as stream,
        pytest.raises(FetchError, match="the body ended 7 bytes too early"),
    ):
        read(stream)
    with client.open(url, size=70_000) as stream, pytest.raises(FetchError) as caught:
        read(stream)
    assert str(caught.value) == f"{url}: the server sent more than the 70,000 bytes expected"
    assert not caught.value.temporary
    broken = site.on("/b", _chunked(b"abc", whole=False))
    with client.open(broken) as stream, pytest.raises(FetchError) as caught:
        read(stream)
    assert caught.value.temporary


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 503])
def test_a_status_is_one_error_without_retry(
    client: Client, site: Fixture, answers: Fixture, status: int
) -> None:
    url = site.on("/a", answers.reply(status, Retry_After="3"))
    with pytest.raises(StatusError) as caught:
        client.open(url)
    assert caught.value.temporary == (status in {429, 503})
    assert caught.value.retry_after == 3.0
    assert len(site.requests) == 1


def test_a_stalled_body_is_temporary(site: Fixture) -> None:
    def stall(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        handler.wfile.write(b"x")
        time.sleep(2)

    url = site.on("/a", stall)
    with (
        Client(read_timeout=0.2) as client,
        client.open(url) as stream,
        pytest.raises(FetchError) as caught,
    ):
        read(stream)
    assert str(caught.value) == f"{url}: 127.0.0.1:{site.port} stopped sending"
    assert caught.value.temporary


def _drip(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    while True:
        handler.wfile.write(b"x")
        time.sleep(0.02)


def test_a_dripping_body_returns_what_it_has_and_is_given_up(
    client: Client, site: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "_FLOOR_WINDOW", 0.4)
    with client.open(site.on("/a", _drip)) as stream:
        view = memoryview(bytearray(1 << 20))
        assert 0 < stream.readinto(view) < 100
        with pytest.raises(FetchError) as caught:
            read(stream, 1 << 20)
    assert str(caught.value).endswith(": the server sends less than 1,024 bytes a second")
    assert caught.value.temporary


def test_a_waiting_read_can_be_interrupted(client: Client, site: Fixture) -> None:
    release = threading.Event()

    def hang(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        release.wait(5)

    with client.open(site.on("/a", hang)) as stream:
        threading.Timer(0.1, stream.interrupt).start()
        with pytest.raises(FetchError, match="the body ended 100 bytes too early"):
            read(stream)
    release.set()
    stream.interrupt()


def test_many_threads_share_a_client(client: Client, site: Fixture, answers: Fixture) -> None:
    url = site.on("/a", answers.ranged(CONTENT))
    results: list[bool] = []

    def fetch(number: int) -> None:
        for step in range(5):
            offset = number * 1000 + step
            with client.open(url, offset=offset, size=len(CONTENT)) as stream:
                results.append(read(stream) == CONTENT[offset:])

    threads = [threading.Thread(target=fetch, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 40

"""A web server on loopback that answers as it is told to, and remembers what it was asked."""

from __future__ import annotations

import datetime as dt
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from builder.backoff import Backoff
from builder.http import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Answer = Callable[[BaseHTTPRequestHandler], None]


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # clients that go away are part of the tests


class Site:
    """Answer each path by a list of answers, the last one for ever."""

    def __init__(self, context: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                site.requests.append((self.command, self.path, dict(self.headers)))
                if length := int(self.headers.get("Content-Length", "0")):
                    site.bodies.append(self.rfile.read(length))
                answers = site.answers.get(self.path.partition("?")[0])
                if not answers:
                    reply(404, b"nothing here")(self)
                else:
                    (answers.pop(0) if len(answers) > 1 else answers[0])(self)

            do_HEAD = do_POST = do_CONNECT = do_GET  # noqa: N815 -- the names that http.server looks for

            def log_message(self, *_: object) -> None:
                pass

            def setup(self) -> None:
                site.connections += 1
                super().setup()

        self.answers: dict[str, list[Answer]] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.server = Server((host, 0), Handler)
        if context:
            self.server.socket = context.wrap_socket(
                self.server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.scheme = "https" if context else "http"
        self.host = host
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def on(self, path: str, *answers: Answer) -> str:
        self.answers[path] = list(answers)
        return self.url(path)

    def url(self, path: str) -> str:
        return f"{self.scheme}://{self.host}:{self.port}{path}"

    def asked(self, path: str) -> list[dict[str, str]]:
        return [headers for _, seen, headers in self.requests if seen == path]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def reply(
    status: int = 200, content: bytes = b"", *, announce: int | None = None, **headers: str
) -> Answer:
    """Answer with content; announce another length to make the body seem cut."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(content) if announce is None else announce))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(content)
        if announce is not None:
            handler.close_connection = True

    return answer


def raw(content: bytes, *, close: bool = True) -> Answer:
    """Answer with exactly these bytes."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(content)
        handler.close_connection = close

    return answer


def ranged(content: bytes) -> Answer:
    """Answer as a good file server does, ranges included."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked = handler.headers.get("Range")
        if not asked:
            reply(200, content, Accept_Ranges="bytes")(handler)
            return
        first, _, last = asked.removeprefix("bytes=").partition("-")
        start, total = int(first), len(content)
        end = min(int(last or total), total - 1)
        if start >= total:
            reply(416, Content_Range=f"bytes */{total}")(handler)
            return
        sent = content[start : end + 1]
        reply(206, sent, Content_Range=f"bytes {start}-{end}/{total}")(handler)

    return answer


class Answers:
    reply = staticmethod(reply)
    raw = staticmethod(raw)
    ranged = staticmethod(ranged)


@pytest.fixture
def answers() -> type[Answers]:
    return Answers


@pytest.fixture
def site() -> Iterator[Site]:
    server = Site()
    yield server
    server.close()


@pytest.fixture
def other() -> Iterator[Site]:
    server = Site()
    yield server
    server.close()


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def client(pauses: list[float], monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with Client(backoff=Backoff(sleep=pauses.append), read_timeout=5.0) as made:
        yield made


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a private CA (ca.pem) and a certificate for localhost (server.pem, server.key)."""
    folder = tmp_path_factory.mktemp("authority")
    now = dt.datetime.now(dt.UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())

    def build(subject: str, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(_name(subject))
            .issuer_name(_name("private CA"))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=2))
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()),
                critical=False,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        )

    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    ca = (
        build("private CA", ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    leaf = (
        build("localhost", key.public_key())
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(ca.public_bytes(pem))
    (folder / "server.pem").write_bytes(leaf.public_bytes(pem))
    (folder / "server.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder


@pytest.fixture
def secure(authority: Path) -> Iterator[Site]:
    """Serve https://localhost with the private CA's certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "server.pem", authority / "server.key")
    server = Site(context)
    server.host = "localhost"
    yield server
    server.close()

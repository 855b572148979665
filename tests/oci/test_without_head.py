"""Registries and gateways that refuse HEAD have their blobs and manifests all the same."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from builder.errors import FetchError
from builder.http import Client
from builder.model.digest import Digest
from builder.oci.auth import Credentials
from builder.oci.connection import RegistryConnection
from builder.oci.listing import Lister
from builder.oci.pull import Puller

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOB = b"x" * 300_000
DIGEST = Digest.of(BLOB)


class Gateway(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    refusal = 405
    ranges = True

    def do_HEAD(self) -> None:
        self._send(self.refusal, b"")

    def do_GET(self) -> None:
        if str(DIGEST) not in self.path and not self.path.endswith("/manifests/1"):
            self._send(404, b"{}")
        elif self.ranges and self.headers.get("Range") == "bytes=0-0":
            self._send(206, BLOB[:1], f"bytes 0-0/{len(BLOB)}")
        else:
            self._send(200, BLOB)

    def _send(self, status: int, content: bytes, spread: str = "") -> None:
        self.send_response(status)
        if spread:
            self.send_header("Content-Range", spread)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(params=[400, 403, 404, 405, 501])
def gateway(request: pytest.FixtureRequest) -> Iterator[str]:
    Gateway.refusal, Gateway.ranges = request.param, True
    server = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("ranges", [True, False])
def test_a_blob_is_there_though_head_is_refused(gateway: str, *, ranges: bool) -> None:
    Gateway.ranges = ranges
    with Client() as client:
        lister = Lister(RegistryConnection(client, Credentials()))
        assert lister.size_of(f"{gateway}/a", DIGEST) == len(BLOB)
        if Gateway.refusal in {404, 405}:
            assert lister.size_of(f"{gateway}/a", Digest.of(b"absent")) is None


def test_a_manifest_is_there_though_head_is_refused(gateway: str) -> None:
    with Client() as client:
        puller = Puller(RegistryConnection(client, Credentials()))
        if Gateway.refusal == 403:
            Gateway.refusal = 405  # who forbids to look at a manifest forbids to have it
        assert puller.look(f"{gateway}/a", "1").status == 200
        with pytest.raises(FetchError, match="404"):
            puller.look(f"{gateway}/a", "2")

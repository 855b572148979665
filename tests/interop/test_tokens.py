"""A real registry that takes short tokens, behind a real proxy that limits bodies."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from interop.programs import daemon, environment, free_port, listens, run
from interop.servers import nginx

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandboxes import Sample

pytestmark = pytest.mark.interop
LIFE = 6
"""Seconds that the registry takes a token for; the token server says minutes."""
_LEEWAY = 60
"""Seconds that docker-registry takes a token for after its end."""
_LOGIN = base64.b64encode(b"ci:secret").decode()
_PROXY = """
  client_max_body_size 300k;
  limit_req_zone $binary_remote_addr zone=slow:1m rate=5r/s;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://127.0.0.1:{registry}; proxy_set_header Host $http_host;
      proxy_request_buffering off; limit_req zone=slow burst=10000;
    }}
  }}
"""


class Tokens(BaseHTTPRequestHandler):
    """Give whoever logs in what he asks for."""

    folder: Path

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        known = self.headers.get("Authorization") == f"Basic {_LOGIN}"
        body = json.dumps({"token": self.token(query), "expires_in": 600}).encode()
        self.send_response(200 if known else 401)
        self.send_header("Content-Length", str(len(body) if known else 0))
        self.end_headers()
        self.wfile.write(body if known else b"")

    def token(self, query: dict[str, list[str]]) -> str:
        parts = [scope.split(":") for scope in " ".join(query.get("scope", [])).split()]
        access = [{"type": a, "name": b, "actions": c.split(",")} for a, b, c in parts]
        now = int(time.time())
        certificate = ssl.PEM_cert_to_DER_cert((self.folder / "tokens.crt").read_text("utf-8"))
        head = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(certificate).decode()]}
        claims: dict[str, Any] = {
            "iss": "tokens",
            "sub": "ci",
            "aud": query["service"][0],
            "access": access,
        }
        claims |= {"exp": now + LIFE - _LEEWAY, "nbf": now - _LEEWAY, "iat": now, "jti": "one"}
        text = ".".join(_coded(json.dumps(each).encode()) for each in (head, claims))
        key = load_pem_private_key((self.folder / "tokens.key").read_bytes(), None)
        assert isinstance(key, rsa.RSAPrivateKey)
        signature = key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{text}.{_coded(signature)}"


def _coded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


@pytest.fixture
def registry(tools: None, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Return the proxy's address, and a folder with the login and the registry's log."""
    folder, env = tmp_path / "registry", environment(tmp_path)
    folder.mkdir()
    run(
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
        "/CN=tokens", "-keyout", folder / "tokens.key", "-out", folder / "tokens.crt", env=env,
    )  # fmt: skip
    handler = type("Handler", (Tokens,), {"folder": folder})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    behind, port = free_port(), free_port()
    config: dict[str, Any] = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": f"127.0.0.1:{behind}"},
        "auth": {
            "token": {
                "realm": f"http://127.0.0.1:{server.server_port}/token",
                "service": "site",
                "issuer": "tokens",
                "rootcertbundle": str(folder / "tokens.crt"),
            }
        },
    }
    (folder / "config.yml").write_text(json.dumps(config), "utf-8")  # JSON is YAML
    login = {"auths": {f"127.0.0.1:{port}": {"auth": _LOGIN}}}
    (folder / "config.json").write_text(json.dumps(login), "utf-8")
    (folder / "config.json").chmod(0o600)
    registry = daemon(
        "docker-registry", "serve", folder / "config.yml",
        env=env, log=folder / "log", ready=lambda: listens(behind),
    )  # fmt: skip
    proxy = nginx(folder / "nginx", _PROXY.format(port=port, registry=behind), port)
    with registry, proxy:
        yield f"127.0.0.1:{port}", folder
    server.shutdown()
    server.server_close()


def test_tokens_that_end_early_and_a_proxy_that_limits_bodies_are_got_through(
    sample: Sample, tmp_path: Path, registry: tuple[str, Path]
) -> None:
    address, folder = registry
    with sample.sandbox(tmp_path / "work") as sandbox:
        sandbox.environment["DOCKER_CONFIG"] = str(folder)
        words = ("publish", str(sample.bundle), "--registry", f"{address}/k8s", "--json")
        first = sandbox.run(*words)
        assert first.code == 0, first.err
        assert {one["state"] for one in json.loads(first.out)["images"]} == {"pushed"}
        assert "token not to be used after" in (folder / "log").read_text("utf-8")
        again = sandbox.run(*words)
        assert (again.code, json.loads(again.out)["blobs"]) == (0, 0), again.err

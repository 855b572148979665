"""Strangers at the ports where a living cluster would answer: none of them is one."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import socket
import ssl
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from api_server import Api
    from conftest import Authority, Machine

    Server = Callable[[socket.socket], None]
    Signer = tuple[x509.Certificate, rsa.RSAPrivateKey]
    Stranger = Callable[[Path, Signer], Server]

_DAY = dt.timedelta(days=1)
_WORDS = "Verify return code: 0 (ok)"
_SERVER, _CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
_STATUS = '{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","code":%d}'
NOTHING = hashlib.sha256(b"").hexdigest()


def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def issue(
    folder: Path,
    signer: Signer | None = None,
    *,
    subject: str = "kube-apiserver",
    since: dt.timedelta = -_DAY,
    life: dt.timedelta = 100 * _DAY,
    use: x509.ObjectIdentifier = _SERVER,
    name: str = "kubernetes",
) -> Path:
    """Write a server's certificate and key to a file: of an authority, or signed by itself."""
    key = _key()
    called = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    issuer, signing = (signer[0].subject, signer[1]) if signer else (called, key)
    start = dt.datetime.now(dt.UTC) + since
    certificate = (
        x509.CertificateBuilder()
        .subject_name(called)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + life)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        .sign(signing, hashes.SHA256())
    )
    file = folder / "server.pem"
    file.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return file


@pytest.fixture
def ours(authority: Authority) -> Signer:
    key = serialization.load_pem_private_key((authority.folder / "ca.key").read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return x509.load_pem_x509_certificate((authority.folder / "ca.crt").read_bytes()), key


def another(ours: Signer) -> Signer:
    """Return an authority with the name of ours, as that of every cluster by kubeadm has it."""
    return ours[0], _key()


@contextlib.contextmanager
def listening(serve: Server) -> Iterator[int]:
    """Have a server answer on a port of loopback."""

    def guarded(client: socket.socket) -> None:
        with suppress(OSError), client:
            serve(client)

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    threading.Thread(target=guarded, args=(client,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def tls(file: Path, answer: bytes = b"", *, first: bytes = b"", endless: bool = False) -> Server:
    """Speak TLS with the certificate in a file; answer a request, or say something first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)

    def serve(client: socket.socket) -> None:
        with context.wrap_socket(client, server_side=True) as connection:
            connection.sendall(first)
            connection.recv(65536)
            connection.sendall(answer)
            while endless:
                connection.sendall(b"x" * 65536)

    return serve


def plain(*pieces: bytes, pause: float = 0.0) -> Server:
    """Say something else than TLS, in pieces with a pause after each."""

    def serve(client: socket.socket) -> None:
        for piece in pieces:
            client.sendall(piece)
            time.sleep(pause)
        client.recv(65536)

    return serve


def half_closed(client: socket.socket) -> None:
    client.shutdown(socket.SHUT_WR)
    while client.recv(65536):
        pass


def http(code: int, body: str, more: str = "") -> bytes:
    return f"HTTP/1.1 {code} X\r\n{more}Content-Length: {len(body)}\r\n\r\n{body}".encode()


def answering(code: int, body: str, more: str = "") -> Stranger:
    return lambda folder, _: tls(issue(folder), http(code, body, more))


HELD: dict[str, Stranger] = {
    "itself": lambda folder, _: tls(issue(folder)),
    "with our words for a name": lambda folder, _: tls(issue(folder, subject=_WORDS)),
    "with our words": lambda folder, _: tls(issue(folder), first=f"\n    {_WORDS}\n".encode() * 50),
    "another authority of our name": lambda folder, ours: tls(issue(folder, another(ours))),
    "another one, expired": lambda folder, ours: tls(
        issue(folder, another(ours), since=-10 * _DAY, life=_DAY)
    ),
    "our client": lambda folder, ours: tls(issue(folder, ours, use=_CLIENT)),
    "redirecting": answering(302, "", "Location: https://127.0.0.1:1/version\r\n"),
    "a page": answering(200, "<html>gitVersion</html>"),
    "ok": answering(200, "ok"),
    "a registry": answering(404, '{"errors":[{"code":"NOT_FOUND"}]}'),
    "another Status": answering(200, '{"kind":"box","a":"Status"}'),
    "broken": answering(500, "oops"),
    "endless": lambda folder, _: tls(issue(folder), b"HTTP/1.1 200 X\r\n\r\n{", endless=True),
}  # fmt: skip
"""Who speaks TLS and is no API server."""
MUTE: dict[str, Server] = {
    "HTTP": plain(http(200, "ok")),
    "silent": plain(b"", pause=20),
    "half closed": half_closed,
    "SSH": plain(b"SSH-2.0-OpenSSH_7.4\r\n"),
    "a drip": plain(*(bytes([byte]) for byte in b"\x16\x03\x03\x40\0" + bytes(200)), pause=0.1),
    "noise": plain(bytes(range(256)) * 4),
    "an alert": plain(b"\x15\x03\x03\0\x02\x02\x28"),
}
"""Who speaks none."""
LATE: dict[str, dict[str, dt.timedelta]] = {
    "expired": {"since": -_DAY, "life": dt.timedelta(hours=1)},
    "not valid yet": {"since": _DAY},
}


def looked_at(machine: Machine, port: int, pki: str) -> list[str]:
    """Return what a look at the port says, as that of an API server and of etcd."""
    if pki == "on-node":
        (machine.root / "etc/airseed/pki/ca.crt").unlink()
    script = f"api_lives 127.0.0.1 {port} & port_speaks 127.0.0.1 {port} etcd & wait"
    ran = machine.source(script, "tls", "init")
    assert ran.returncode == 0
    return sorted(ran.stdout.splitlines())


@pytest.mark.parametrize("pki", ["generated", "on-node"])
@pytest.mark.parametrize("who", [*HELD, *MUTE])
def test_no_stranger_proves_that_a_cluster_lives(
    first: Machine, ours: Signer, tmp_path: Path, who: str, pki: str
) -> None:
    server = HELD[who](tmp_path, ours) if who in HELD else MUTE[who]
    with listening(server) as port:
        seen = looked_at(first, port, pki)
    assert seen == ([f"port 127.0.0.1:{port} (etcd)"] if who in HELD else [])


@pytest.mark.parametrize("code", [200, 401, 403])
def test_an_api_server_of_any_authority_is_one(
    first: Machine, ours: Signer, tmp_path: Path, code: int
) -> None:
    body = _STATUS % code if code > 200 else '{\n  "major": "1",\n  "gitVersion": "v1.18.5"\n}'
    with listening(answering(code, body)(tmp_path, ours)) as port:
        _, proof = looked_at(first, port, "on-node")
    assert proof == f"proof an API server answers at 127.0.0.1:{port}"


@pytest.mark.parametrize("name", ["kubernetes", "w9"])
def test_our_authority_proves_it_whatever_the_name(
    first: Machine, ours: Signer, tmp_path: Path, name: str
) -> None:
    with listening(tls(issue(tmp_path, ours, name=name))) as port:
        _, proof = looked_at(first, port, "generated")
    assert proof == f"proof an API server of this cluster answers at 127.0.0.1:{port}"


@pytest.mark.parametrize("when", LATE)
def test_a_certificate_of_ours_out_of_its_time_is_waited_for(
    first: Machine, ours: Signer, tmp_path: Path, when: str
) -> None:
    """By a clock that is behind it is a living cluster; by a right one what is left of one."""
    first.environment["AIRSEED_PORT_PATIENCE"] = "0"
    with listening(tls(issue(tmp_path, ours, **LATE[when]))) as port:
        guard = f"signs_of_life() {{ api_lives 127.0.0.1 {port}; }}; guard; echo went on"
        ran = first.source(guard, "tls", "init")
        assert ran.returncode == 1
        what = "a certificate of this cluster, not valid now"
        assert f"error: TLS is spoken at 127.0.0.1:{port} ({what}), but nothing" in ran.stdout
    assert not (first.state / "stamps/lives").exists()
    ran = first.source(guard, "tls", "init")
    assert (ran.returncode, ran.stdout) == (0, "went on\n")


def test_who_is_at_the_endpoint_instead_is_told(first: Machine) -> None:
    """A balancer that leads elsewhere, a name that a portal answers, an address given twice."""
    first.stand_in(
        "kubectl",
        '[[ $* != *" --server "* ]] || { echo ok && exit; }\n'
        "echo 'x509: certificate signed by unknown authority' >&2; exit 1",
    )
    ran = first.source("no_answer", "tls", "api", "kubeadm", "init")
    assert ran.returncode == 1
    assert (
        "error: the API server answers here, but not at 10.0.0.1:6443: "
        "x509: certificate signed by unknown authority\n" in ran.stdout
    )


def test_another_authority_of_our_name_stops_a_joiner_at_once(
    joiner: Machine, api: Api, ours: Signer, tmp_path: Path
) -> None:
    joiner.set(SUMS=NOTHING)
    joiner.write("opt/airseed/bundle/SHA256SUMS", "")
    with listening(tls(issue(tmp_path, another(ours)))) as port:
        joiner.set(ENDPOINT=f"127.0.0.1:{port}")
        assert joiner.boot("kubeadm").returncode == 1
        assert "that this cluster's authority did not sign, or" in joiner.result["message"]
    joiner.set(ENDPOINT=f"127.0.0.1:{api.port}")
    assert joiner.boot("kubeadm").returncode == 0, joiner.result


@pytest.mark.parametrize(
    ("who", "said"),
    [
        (plain(http(200, "ok")), " (HTTP 000, curl 35)"),
        (None, ""),
        ("nowhere.invalid:6443", " (HTTP 000, curl 6)"),
    ],
)
def test_a_joiner_says_what_there_is_at_the_endpoint(
    joiner: Machine, who: Server | str | None, said: str
) -> None:
    joiner.set(SUMS=NOTHING)
    joiner.write("opt/airseed/bundle/SHA256SUMS", "")
    joiner.environment["AIRSEED_CLUSTER_PATIENCE"] = "1"
    with listening(who if callable(who) else half_closed) as port:
        endpoint = who if isinstance(who, str) else f"127.0.0.1:{port if who else 1}"
        joiner.set(ENDPOINT=endpoint)
        assert joiner.boot("kubeadm").returncode == 1
    log = (joiner.state / "log/kubeadm.log").read_text().splitlines()
    wanted = f"waiting for the first control plane to answer at {endpoint}{said}"
    assert any(line.endswith(wanted) for line in log)


def test_an_authority_that_was_learned_of_an_earlier_cluster_is_forgotten(
    joiner: Machine, api: Api, authority: Authority
) -> None:
    """Whoever has the same token made that one, too; with on-node PKI each has another."""
    joiner.set(SUMS=NOTHING, PKI="on-node", ENDPOINT=f"127.0.0.1:{api.port}")
    joiner.write("opt/airseed/bundle/SHA256SUMS", "")
    (joiner.root / "etc/airseed/pki/ca.crt").unlink()
    earlier = (authority.folder / "front-proxy-ca.crt").read_bytes()
    joiner.write("var/lib/airseed/authority.crt", earlier)
    assert joiner.boot("kubeadm").returncode == 1
    assert "that this cluster's authority did not sign, or" in joiner.result["message"]
    assert not (joiner.state / "authority.crt").exists()

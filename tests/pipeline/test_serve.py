"""``airseed serve``, asked over HTTP as registries' and yum's clients ask."""

from __future__ import annotations

import errno
import hashlib
import http.client
import json
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from base64 import b64encode
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import bcrypt
import pytest
from openssl import P256, openssl

from builder.bundle.reader import open_bundle
from builder.cli.root import run
from builder.errors import DocumentError, UsageError, VerificationError
from builder.model.digest import Digest
from builder.model.image_names import ImageNames
from builder.model.reference import Reference
from builder.model.registry import Registry
from builder.pipeline.serve import ServeAccess, _check, serve
from builder.report import Silent
from builder.serve.content import Content, ServedBundle
from builder.serve.piece import DamagedError
from builder.server.connection import Connection
from builder.server.message import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sandboxes import Sample, Sandbox


Answer = tuple[int, dict[str, str], bytes]
Ask = "Callable[..., Answer]"
TOP = "application/vnd.docker.distribution.manifest.list.v2+json"


@contextmanager
def served(
    *bundles: Path, trusting: ssl.SSLContext | None = None, **how: Any
) -> Iterator[Callable[..., Answer]]:
    with ExitStack() as opened:
        serving = opened.enter_context(serve(bundles, address=("127.0.0.1", 0), **how))
        scheme, _, address = serving.url.partition("://")
        assert scheme == ("https" if trusting else "http")

        def connect() -> http.client.HTTPConnection:
            if trusting:
                return http.client.HTTPSConnection(address, timeout=20, context=trusting)
            return http.client.HTTPConnection(address, timeout=20)

        def ask(path: str, method: str = "GET", **headers: str) -> Answer:
            with closing(connect()) as connection:
                connection.request(method, path, headers=headers)
                answer = connection.getresponse()
                return answer.status, dict(answer.getheaders()), answer.read()

        yield ask


@pytest.fixture(params=["tar", "folder"])
def ask(
    request: pytest.FixtureRequest, sample: Sample, unpacked: Path
) -> Iterator[Callable[..., Answer]]:
    with served(sample.bundle if request.param == "tar" else unpacked) as answering:
        yield answering


def test_every_image_is_whole_under_each_of_its_names(
    ask: Callable[..., Answer], sample: Sample
) -> None:
    for image in sample.lock.images:
        path, tag = image.reference.path, image.reference.tag
        for name, query in (
            (image.reference.repository, ""),
            (path, ""),
            (path, f"?ns={image.reference.host}"),
        ):
            status, headers, body = ask(f"/v2/{name}/manifests/{tag}{query}")
            assert (status, headers["Docker-Content-Digest"]) == (200, str(image.digest))
            assert headers["Content-Type"] == image.media_type
            assert hashlib.sha256(body).hexdigest() == image.digest.hex
    for manifest in image.manifests:
        for digest in (manifest.config, *manifest.layers):
            status, headers, body = ask(f"/v2/{path}/blobs/{digest}")
            assert (status, hashlib.sha256(body).hexdigest()) == (200, digest.hex)


def test_coredns_is_found_under_both_spellings(ask: Callable[..., Answer]) -> None:
    one, other = ask("/v2/coredns/tags/list"), ask("/v2/coredns/coredns/tags/list")
    assert (one[0], json.loads(one[2])["tags"]) == (200, json.loads(other[2])["tags"])


def test_lists_come_in_pages(ask: Callable[..., Answer]) -> None:
    everything = json.loads(ask("/v2/_catalog")[2])["repositories"]
    seen, path = [], "/v2/_catalog?n=3"
    while path:
        _, headers, body = ask(path)
        seen += json.loads(body)["repositories"]
        path = headers.get("Link", "").partition("<")[2].partition(">")[0]
    assert seen == everything
    assert len(seen) > 6


@pytest.mark.parametrize("address", ["x", ":" + "9" * 5000, "h:65536", "[::1", "[]:5", "h:\u0663"])
def test_an_address_that_is_none_is_refused(
    address: str, sample: Sample, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["serve", str(sample.bundle), "--listen", address]) == 2
    assert "is not an address to listen on" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v2/nobody/manifests/1", 404, "NAME_UNKNOWN"),
        ("/v2/pause/manifests/none", 404, "MANIFEST_UNKNOWN"),
        ("/v2/pause/manifests/-", 400, "TAG_INVALID"),
        (f"/v2/pause/manifests/sha256:{'0' * 64}", 404, "MANIFEST_UNKNOWN"),
        (f"/v2/pause/manifests/sha512:{'0' * 128}", 404, "MANIFEST_UNKNOWN"),
        (f"/v2/pause/blobs/sha256:{'0' * 64}", 404, "BLOB_UNKNOWN"),
        ("/v2/pause/blobs/sha256", 400, "DIGEST_INVALID"),
        ("/v2/pause/blobs/sha256:0", 400, "DIGEST_INVALID"),
        ("/v2/PAUSE/../x/blobs/sha256:0", 400, "NAME_INVALID"),
        ("/v2/_catalog?n=x", 400, "PAGINATION_NUMBER_INVALID"),
        ("/v2/pause/nothing", 404, "UNSUPPORTED"),
    ],
)
def test_what_is_not_there_is_refused_in_the_standards_words(
    ask: Callable[..., Answer], path: str, status: int, code: str
) -> None:
    answer = ask(path)
    assert (answer[0], json.loads(answer[2])["errors"][0]["code"]) == (status, code)


def test_who_pushes_is_told_in_the_standards_words_that_nothing_is_taken(
    ask: Callable[..., Answer],
) -> None:
    status, headers, body = ask("/v2/pause/blobs/uploads/", "POST")
    told = {"code": "UNSUPPORTED", "message": "this server can only be read"}
    assert (status, headers["Allow"], json.loads(body)) == (405, "GET, HEAD", {"errors": [told]})
    assert ask("/yum/x", "PUT")[2] == b"this server can only be read\n"


def _bundle(sample: Sample, **images: Digest) -> ServedBundle:
    """Return one with images by reference; nothing of it can be read."""
    (pause,) = (each for each in sample.lock.images if each.reference.path == "pause")
    named = [
        replace(pause, reference=Reference.parse(name), digest=digest)
        for name, digest in images.items()
    ]
    lock = replace(sample.lock, images=tuple(named))
    opened: Any = None
    return ServedBundle(name="b", bundle=opened, lock=lock, layout=sample.layout, modified=0.0)


def test_a_short_name_means_nothing_where_two_images_have_it(sample: Sample) -> None:
    """Of one image in two bundles the first counts, whoever else has the short name."""
    one, other = Digest("2" * 64), Digest("1" * 64)
    content = Content(
        [
            _bundle(sample, **{"k8s.gcr.io/pause:3.2": one, "a.io/pause:9": other}),
            _bundle(sample, **{"k8s.gcr.io/pause:3.2": other, "b.io/pause:9": one}),
            _bundle(sample, **{"c.io/a.io/pause:9": one}),
        ]
    )
    assert content.clashes == {"pause:9": ("a.io/pause", "b.io/pause")}
    assert content.repositories["pause"].tags == {"3.2": one}
    assert content.repositories["a.io/pause"].tags == {"9": other}


def test_an_image_by_digest_has_the_tag_that_manifests_ask_for(sample: Sample) -> None:
    digest = Digest("a" * 64)
    name = f"k8s.gcr.io/pause@{digest}"
    content = Content([_bundle(sample, **{name: digest, "k8s.gcr.io/pause:3.2": digest})])
    asked = ImageNames(Registry(host="r.example.com")).name(Reference.parse(name))
    assert asked == "r.example.com/pause:digest-aaaaaaaaaaaa"
    assert content.repositories["pause"].tags == {"3.2": digest, "digest-aaaaaaaaaaaa": digest}


def test_an_address_that_is_not_this_machines_is_told_once(sample: Sample) -> None:
    with (
        pytest.raises(UsageError) as caught,
        serve([sample.bundle], address=("2001:db8::1", 5000)),
    ):
        pass
    assert str(caught.value) == "[2001:db8::1]:5000: cannot assign requested address"


def test_a_machine_without_ipv6_is_told(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(UsageError) as caught, serve([sample.bundle], address=("::", 5000)):
        pass
    assert str(caught.value) == "[::]:5000: address family not supported by protocol"


def test_a_yum_repository_is_served_as_it_is_in_the_bundle(
    ask: Callable[..., Answer], sample: Sample
) -> None:
    for package in sample.lock.packages[:3]:
        status, headers, body = ask(f"/{package.path}")
        assert (status, hashlib.sha256(body).hexdigest()) == (200, package.digest.hex)
        assert headers["ETag"] == f'"{package.digest}"'
        assert ask(f"/{package.path}", Range="bytes=5-9")[::2] == (206, body[5:10])
        assert ask(f"/{package.path}", "HEAD")[0] == 200
        assert ask(f"/bundles/{'bundle'}/../{package.path}")[0] == 404
    assert ask("/secrets/token")[0] == 404
    assert ask("/%2e%2e/etc/passwd")[0] == 404
    assert ask("/cluster.lock", "POST")[0] == 405


def test_damaged_bytes_are_never_served(sample: Sample, tmp_path: Path) -> None:
    damaged = tmp_path / "bundle.tar"
    shutil.copy(sample.bundle, damaged)
    blob = max(sample.lock.blobs, key=lambda blob: blob.size)
    package = min(sample.lock.packages, key=lambda package: package.size)
    with damaged.open("r+b") as file:
        for content in (blob, package):
            start = sample.layout.extent(content.path).offset + content.size - 1
            file.seek(start)
            byte = file.read(1)[0]
            file.seek(start)
            file.write(bytes([byte ^ 1]))
    repository = blob.sources[0].partition("/")[2]
    with served(damaged) as ask:
        assert ask(f"/{package.path}")[0] == 500
        with pytest.raises(http.client.IncompleteRead):
            ask(f"/v2/{repository}/blobs/{blob.digest}")
        assert ask(f"/v2/{repository}/blobs/{blob.digest}")[0] == 500
        assert ask("/healthz")[0] == 200


def test_a_bundle_whose_frame_is_damaged_is_refused(sample: Sample, tmp_path: Path) -> None:
    cut = tmp_path / "bundle.tar"
    cut.write_bytes(sample.bundle.read_bytes()[:-20480])
    with pytest.raises(VerificationError), served(cut):
        pass


@pytest.fixture(scope="module")
def access(tmp_path_factory: pytest.TempPathFactory) -> ServeAccess:
    folder = tmp_path_factory.mktemp("access")
    openssl(
        *("req", "-x509", "-nodes", *P256, "-subj", "/CN=serve", "-days", 2),
        *("-addext", "subjectAltName=IP:127.0.0.1"),
        *("-keyout", folder / "tls.key", "-out", folder / "tls.crt"),
    )
    known = bcrypt.hashpw(b"correct horse", bcrypt.gensalt(4)).decode()
    (folder / "users").write_text(f"# users\njane:{known}\n", "utf-8")
    return ServeAccess(
        certificate=folder / "tls.crt", key=folder / "tls.key", users=folder / "users"
    )


def login(user: str, password: str) -> str:
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


def test_tls_and_logins(access: ServeAccess, sample: Sample) -> None:
    trusting = ssl.create_default_context(cafile=str(access.certificate))
    package = max(sample.lock.packages, key=lambda one: one.size)
    with served(sample.bundle, trusting=trusting, access=access) as ask:
        assert ask("/healthz")[0] == 200
        for path in ("/v2/", f"/{package.path}", "/metrics", "/cluster.lock"):
            status, headers, said = ask(path)
            assert (status, headers["WWW-Authenticate"][:5]) == (401, "Basic")
            if path == "/v2/":
                assert json.loads(said)["errors"][0]["code"] == "UNAUTHORIZED"
            for bad in (login("jane", "correct"), login("joe", "correct horse"), "Bearer x"):
                assert ask(path, Authorization=bad)[0] == 401
        good = login("jane", "correct horse")
        for _ in range(2):  # read and hashed, then known
            status, _, body = ask(f"/{package.path}", Authorization=good)
            assert (status, hashlib.sha256(body).hexdigest()) == (200, package.digest.hex)
        part = ask(f"/{package.path}", Authorization=good, Range="bytes=1000-2999")
        assert (part[0], part[2]) == (206, body[1000:3000])


def test_who_forgets_tls_is_told(access: ServeAccess, sample: Sample) -> None:
    with (
        serve([sample.bundle], address=("127.0.0.1", 0), access=access) as serving,
        socket.create_connection(("127.0.0.1", int(serving.url.rpartition(":")[2])), 20) as client,
    ):
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(9999), b""))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.endswith(b"this is https\n")


def test_a_file_of_users_is_read_strictly(tmp_path: Path, sample: Sample) -> None:
    users = tmp_path / "users"
    good = bcrypt.hashpw(b"x", bcrypt.gensalt(4)).decode()
    users.write_text(
        f"a:{good}\nb:{{SHA}}secret\nc\na:{good}\nd:$2b$31${good[7:]}\n", encoding="utf-8"
    )
    with (
        pytest.raises(DocumentError) as caught,
        served(sample.bundle, access=ServeAccess(users=users)),
    ):
        pass
    assert [str(fault) for fault in caught.value.faults] == [
        "line 2: the password of 'b' is not hashed by bcrypt",
        "line 3: is not NAME:HASH",
        "line 4: 'a' is there twice",
        "line 5: the hash of 'd' has the cost 31, not 4 to 15",
    ]
    users.write_text("a: b\n- c\nd:\n", "utf-8")
    with (
        pytest.raises(DocumentError) as caught,
        served(sample.bundle, access=ServeAccess(users=users)),
    ):
        pass
    assert [fault.what for fault in caught.value.faults] == ["this is not a file of users"]
    users.write_text("", "utf-8")
    with pytest.raises(DocumentError), served(sample.bundle, access=ServeAccess(users=users)):
        pass


def test_a_certificate_that_is_none_is_refused(tmp_path: Path, sample: Sample) -> None:
    (tmp_path / "x").write_text("nothing", "utf-8")
    access = ServeAccess(certificate=tmp_path / "x", key=tmp_path / "x")
    with (
        pytest.raises(UsageError, match="certificate or key can't be used"),
        served(sample.bundle, access=access),
    ):
        pass


def test_metrics_count_what_was_done(sample: Sample) -> None:
    package = sample.lock.packages[0]
    lines: list[str] = []
    with served(sample.bundle, log=lines.append) as ask:
        for _ in range(2):
            ask(f"/{package.path}")
        ask("/v2/pause/tags/list")
        ask("/v2/pause/blobs/x")
        # each counts, and has its line, when its last byte was sent
        end = time.monotonic() + 10
        while len(lines) < 4 and time.monotonic() < end:
            time.sleep(0.01)
        status, headers, body = ask("/metrics")
    assert (status, headers["Content-Type"][:10]) == (200, "text/plain")
    metrics = dict(
        line.rsplit(" ", 1) for line in body.decode().splitlines() if not line.startswith("#")
    )
    assert metrics['airseed_requests_total{kind="files",status="200"}'] == "2"
    assert metrics['airseed_requests_total{kind="lists",status="200"}'] == "1"
    assert metrics['airseed_requests_total{kind="blobs",status="400"}'] == "1"
    assert metrics['airseed_sent_bytes_total{kind="files"}'] == str(2 * package.size)
    assert metrics['airseed_members{state="verified"}'] == "1"
    assert metrics['airseed_members{state="damaged"}'] == "0"
    assert int(metrics["airseed_connections"]) >= 1
    assert lines[0].startswith(f"127.0.0.1 GET /{package.path} 200 {package.size} ")


def test_images_are_found_below_a_prefix(sample: Sample) -> None:
    with served(sample.bundle, prefixes=["team/k8s"]) as ask:
        for path in ("team/k8s/pause", "team/k8s/coredns", "team/k8s/coredns/coredns", "pause"):
            assert ask(f"/v2/{path}/tags/list")[0] == 200
        assert ask("/v2/k8s/pause/tags/list")[0] == 404
        assert ask("/v2/team/k8s/k8s.gcr.io/pause/tags/list")[0] == 404


def test_nothing_but_what_the_lock_names_is_served(unpacked: Path, tmp_path: Path) -> None:
    """A folder with secrets or seeds in it is refused; what comes later is not seen."""
    folder = tmp_path / "site"
    shutil.copytree(unpacked, folder)

    def add() -> list[Path]:
        added = [folder / path for path in ("cluster.secrets/ca.key", "seeds/m-1/user-data")]
        for path in added:
            path.parent.mkdir(parents=True)
            path.write_text("s3cret", "utf-8")
        return added

    with served(folder) as ask:
        for path in add():
            name = path.relative_to(folder)
            assert ask(f"/{name}")[0] == ask(f"/bundles/site/{name}")[0] == 404
        assert ask("/cluster.lock")[0] == ask("/bundles/site/cluster.lock")[0] == 200
    with pytest.raises(VerificationError) as caught, served(folder):
        pass
    assert {fault.where for fault in caught.value.faults} == {
        "cluster.secrets/ca.key",
        "seeds/m-1/user-data",
    }


@pytest.mark.parametrize("kind", ["tar", "folder"])
@pytest.mark.parametrize("replaced", [True, False])
def test_what_is_written_to_under_a_running_server_is_hashed_again(
    sample: Sample, unpacked: Path, tmp_path: Path, kind: str, *, replaced: bool
) -> None:
    package = max(sample.lock.packages, key=lambda one: one.size)
    bundle = tmp_path / ("bundle.tar" if kind == "tar" else "bundle")
    if kind == "tar":
        shutil.copy(sample.bundle, bundle)
        place, file = sample.layout.extent(package.path).offset + 7, bundle
    else:
        shutil.copytree(unpacked, bundle)
        place, file = 7, bundle / package.path
    right = file.read_bytes()
    wrong = right[:place] + bytes([right[place] ^ 1]) + right[place + 1 :]

    def write(content: bytes) -> None:
        if replaced:
            fresh = file.with_name("fresh")
            fresh.write_bytes(content)
            fresh.rename(file)
        else:
            file.write_bytes(content)

    warned: list[str] = []

    class Ear(Silent):
        def warn(self, text: str, *, hint: str | None = None) -> None:  # noqa: ARG002 -- the protocol
            warned.append(text)

    with served(bundle, reporter=Ear()) as ask:
        for _ in range(2):
            assert ask(f"/{package.path}")[0] == 200
        write(wrong)
        if (kind, replaced) == ("tar", True):  # the open file is still the old one
            assert ask(f"/{package.path}")[0] == 200
            return
        for _ in range(2):
            try:
                assert ask(f"/{package.path}")[0] == 500
            except http.client.IncompleteRead as error:
                assert len(error.partial) < package.size  # noqa: PT017
        assert ask(f"/{package.path}", Range="bytes=0-9")[0] == 500
        assert len(warned) == 1
        assert warned[0].startswith(f"{package.path} is damaged in {bundle}")
        write(right)
        status, _, body = ask(f"/{package.path}")
        assert (status, hashlib.sha256(body).hexdigest()) == (200, package.digest.hex)
        if kind == "folder":
            file.unlink()
            assert ask(f"/{package.path}")[0] == 500
            file.symlink_to("/etc/passwd")
            assert ask(f"/{package.path}")[0] == 500


@pytest.mark.parametrize("tls", [False, True])
def test_a_body_that_is_written_to_while_it_is_sent_lacks_its_end(
    access: ServeAccess, unpacked: Path, tmp_path: Path, *, tls: bool
) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(unpacked, bundle)
    here, there = socket.socketpair()
    with ExitStack() as stack:
        served = _check(stack.enter_context(open_bundle(bundle)), bundle)
        piece = max(Content([served]).pieces, key=lambda one: one.size)
        piece.verify()
        received = bytearray()

        def read() -> None:
            client: socket.socket = here
            if tls:
                trusting = ssl.create_default_context(cafile=str(access.certificate))
                client = trusting.wrap_socket(here, server_hostname="127.0.0.1")
            with client:
                while took := client.recv(1 << 16):
                    received.extend(took)

        reader = threading.Thread(target=read)
        reader.start()
        connection = Connection(there)
        if tls:
            context = access.context()
            assert context
            connection.start_tls(context)
        sending = connection.send_body(Response(body=piece))
        assert next(sending) < piece.size
        (bundle / piece.path).touch()
        with pytest.raises(DamagedError):
            list(sending)
        there = connection._socket  # TLS has taken the first one's place
        there.close()
    reader.join(20)
    assert 0 < len(received) < piece.size


def test_a_delta_has_what_it_lacks_from_the_bundle_beside_it(
    sandbox: Sandbox, sample: Sample
) -> None:
    delta = sandbox.folder / "delta.tar"
    for words in (
        ("inventory", str(sample.bundle), "-o", "have.json"),
        ("bundle", "--have", "have.json", "--base", str(sample.bundle), "-o", "delta.tar"),
    ):
        ran = sandbox.run(*words)
        assert ran.code == 0, ran.err
    assert delta.stat().st_size < sample.bundle.stat().st_size / 2
    with served(delta, sample.bundle) as ask:
        for package in sample.lock.packages[:9]:
            for path in (package.path, f"bundles/delta/{package.path}"):
                status, _, body = ask(f"/{path}")
                assert (status, hashlib.sha256(body).hexdigest()) == (200, package.digest.hex)
        image = sample.lock.images[0]
        for digest in image.manifests[0].layers:
            status, _, body = ask(f"/v2/{image.reference.path}/blobs/{digest}")
            assert (status, hashlib.sha256(body).hexdigest()) == (200, digest.hex)
    with serve([delta], address=("127.0.0.1", 0)) as serving:
        assert len(serving.content.missing["delta"]) > len(sample.lock.packages)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_is_stopped_by_signals_and_warns_of_what_is_open(
    sample: Sample, access: ServeAccess, tmp_path: Path, number: signal.Signals
) -> None:
    key = tmp_path / "tls.key"
    shutil.copy(access.key or "", key)
    key.chmod(0o644)
    words = ["serve", "--listen", "127.0.0.1:0", "--tls-cert", str(access.certificate)]
    words += ["--tls-key", str(key), str(sample.bundle)]
    with subprocess.Popen(
        [sys.executable, "-m", "builder", *words], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == f"warning: {key} can be read by others\n"
        assert process.stderr.readline() == f"  hint: chmod 600 {key}\n"
        assert process.stderr.readline().startswith("serving 13 images and ")
        process.send_signal(number)
        said = process.communicate(timeout=60)[1]
    assert (process.returncode, "Traceback" in said) == (
        0 if number == signal.SIGTERM else 130,
        False,
    )

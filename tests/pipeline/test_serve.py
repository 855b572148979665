"""``airseed serve``, asked over HTTP as registries' and yum's clients ask."""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from builder.errors import VerificationError
from builder.pipeline.serve import serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sandboxes import Sample

Answer = tuple[int, dict[str, str], bytes]
Ask = "Callable[..., Answer]"
TOP = "application/vnd.docker.distribution.manifest.list.v2+json"


@contextmanager
def served(*bundles: Path) -> Iterator[Callable[..., Answer]]:
    with ExitStack() as opened:
        serving = opened.enter_context(serve(bundles, address=("127.0.0.1", 0)))

        def ask(path: str, method: str = "GET", **headers: str) -> Answer:
            with closing(http.client.HTTPConnection(serving.address, timeout=20)) as connection:
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


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v2/nobody/manifests/1", 404, "NAME_UNKNOWN"),
        ("/v2/pause/manifests/none", 404, "MANIFEST_UNKNOWN"),
        ("/v2/pause/manifests/-", 400, "TAG_INVALID"),
        (f"/v2/pause/manifests/sha256:{'0' * 64}", 404, "MANIFEST_UNKNOWN"),
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

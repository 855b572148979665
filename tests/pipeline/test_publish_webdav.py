"""The yum side of ``airseed publish`` and ``mirror`` on servers that take PUT."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING

import pytest
from webdav_server import Ways, WebDavServer

from builder.destinations.webdav import refused
from builder.errors import AirseedError
from builder.http import StatusError
from builder.oci.auth import Credential
from builder.pipeline.yum import YumTarget, publish_yum
from builder.report import Silent
from builder.sources.access import AccessSettings

if TYPE_CHECKING:
    from pathlib import Path

    from sandboxes import Sample

    from builder.destinations.yum import YumPublished


def publish(
    bundle: Path, server: WebDavServer, settings: AccessSettings | None = None
) -> YumPublished:
    return publish_yum(bundle, YumTarget(place=server.url), reporter=Silent(), settings=settings)


def expect_all(sample: Sample, server: WebDavServer) -> None:
    wanted = {
        f"/k8s/{extent.path}": extent.digest.hex
        for extent in sample.layout.extents
        if not extent.path.startswith("images/")
    }
    beside = {"/k8s/airseed.repo", "/k8s/airseed-published.json"}
    assert set(server.files) == set(wanted) | beside
    for path, digest in wanted.items():
        assert hashlib.sha256(server.files[path]).hexdigest() == digest, path


@pytest.mark.parametrize(
    "ways",
    [
        Ways(),
        Ways(moves=False),
        Ways(folders=409),
        Ways(folders=409, moves=False),
        Ways(marks=False),
        Ways(heads=False),
        Ways(breaks=2),
        Ways(lies=1),
    ],
    ids=str,
)
def test_a_server_with_ways_of_its_own_is_filled_once(sample: Sample, ways: Ways) -> None:
    with WebDavServer(ways) as server:
        first = publish(sample.bundle, server)
        assert first.plan.there == 0
        expect_all(sample, server)
        names = [path for path in server.history if not path.endswith(("-part", ".json"))]
        repomd = [n for n, path in enumerate(names) if path.endswith("/repomd.xml")]
        assert all(
            path.endswith(("repomd.xml", "cluster.lock", "SHA256SUMS"))
            for path in names[min(repomd) :]
        )
        assert names[-1] == "/k8s/SHA256SUMS"
        server.requests.clear()
        second = publish(sample.bundle, server)
        assert (second.plan.count, server.count("PUT", "MOVE", "DELETE", "MKCOL")) == (0, 0)
        # without marks it is read again to be sure
        assert (server.count("GET") > 1) == (not (ways.marks and ways.heads))


def test_folders_above_the_place_are_made_where_they_are_missing(sample: Sample) -> None:
    with WebDavServer(Ways(folders=409)) as server:
        server.url = f"http://{server.host}/a%20b/%C3%A4/k8s"
        publish(sample.bundle, server)
        server.files = {path.removeprefix("/a b/ä"): file for path, file in server.files.items()}
        expect_all(sample, server)
        assert server.requests.count(("MKCOL", "/a b/")) == 1


def test_folders_that_a_later_run_wants_are_made_for_all_that_go_there(sample: Sample) -> None:
    with WebDavServer(Ways(folders=409)) as server:
        publish(sample.bundle, server)
        target = YumTarget(place=server.url, images=True)
        done = publish_yum(sample.bundle, target, reporter=Silent())
        assert done.plan.count == sum(
            extent.path.startswith("images/") for extent in sample.layout.extents
        )


def test_a_server_that_takes_put_alone_keeps_no_more_than_one_file_in_vain(
    sample: Sample,
) -> None:
    with WebDavServer(Ways(moves=False, deletes=False)) as server:
        publish(sample.bundle, server)
        (left,) = [path for path in server.files if path.endswith("-part")]
        del server.files[left]
        expect_all(sample, server)


def test_what_somebody_changed_is_put_right(sample: Sample) -> None:
    package = sample.lock.packages[0]
    with WebDavServer() as server:
        publish(sample.bundle, server)
        path = f"/k8s/{package.path}"
        server.files[path] = bytes([server.files[path][0] ^ 1]) + server.files[path][1:]
        again = publish(sample.bundle, server)
        assert [one.path for one in again.plan.moves] == [package.path]
        expect_all(sample, server)


def test_a_login_goes_to_its_server(sample: Sample) -> None:
    basic = f"Basic {base64.b64encode(b'ci:secret').decode()}"
    with WebDavServer(Ways(login=basic)) as server:
        with pytest.raises(AirseedError, match="401 Unauthorized"):
            publish(sample.bundle, server)
        login = Credential(username="ci", password="secret")  # noqa: S106 -- of a stand-in
        publish(sample.bundle, server, AccessSettings(logins={server.host: login}))
        expect_all(sample, server)


def test_a_server_that_takes_no_files_is_told(sample: Sample) -> None:
    with WebDavServer(Ways(reads=False)) as server:
        with pytest.raises(AirseedError, match="405 Method Not Allowed") as caught:
            publish(sample.bundle, server)
        assert "nginx needs dav_methods" in (caught.value.hint or "")
        assert server.files == {}


def test_a_page_to_log_in_to_is_no_broken_record(sample: Sample) -> None:
    with WebDavServer(Ways(page=b"<html>Sign in</html>")) as server:
        with pytest.raises(AirseedError, match="not what airseed writes there") as caught:
            publish(sample.bundle, server)
        assert caught.value.hint == "what answers there is a web page: one to log in to, perhaps"


def test_nginx_that_makes_no_folders_is_told_the_way_out() -> None:
    """It answers 500, which may be anything."""
    error = StatusError("http://site/x", 500, {})
    assert "create_full_put_path" in (refused(error).hint or "")


def test_a_server_is_filled_straight_from_the_upstreams(sample: Sample, tmp_path: Path) -> None:
    with sample.sandbox(tmp_path / "work") as sandbox, WebDavServer(Ways(breaks=1)) as server:
        words = ("mirror", "cluster.lock", "--yum", server.url, "--json")
        done = sandbox.run(*words)
        assert done.code == 0, done.err
        expect_all(sample, server)
        again = sandbox.run(*words)
        assert (again.code, json.loads(again.out)["yum"]["files"]) == (0, [])
        assert again.requests == ()

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest
from fault_lab.faults import NetworkFault
from fault_lab.registry import FullProfile

from builder.errors import FetchError, UsageError
from builder.sources.access import Access

if TYPE_CHECKING:
    from pathlib import Path

    from fault_lab.upstream import FaultyUpstream


def test_the_environments_proxy_and_authority_lead_the_way(
    upstream: FaultyUpstream, access: Access
) -> None:
    upstream.add_file("https://files.example.org/hello", b"hello")
    assert access.client.get("https://files.example.org/hello", limit=10).content == b"hello"
    [asked] = upstream.requests
    assert (asked.host, asked.path, asked.status) == ("files.example.org", "/hello", 200)


def test_without_the_authority_nothing_is_believed(
    upstream: FaultyUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream.add_file("https://files.example.org/hello", b"hello")
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    monkeypatch.delenv("SSL_CERT_FILE")
    with Access.open() as access, pytest.raises(FetchError) as caught:
        access.client.get("https://files.example.org/hello", limit=10)
    assert "certificate" in str(caught.value)
    with Access.open(ca_bundle=upstream.ca) as access:
        assert access.client.get("https://files.example.org/hello", limit=10).content == b"hello"


def test_an_authority_that_cannot_be_read_is_a_mistake_of_use(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        Access.open(ca_bundle=tmp_path / "absent.pem")
    assert str(tmp_path / "absent.pem") in str(caught.value)


def test_logins_of_docker_are_used(upstream: FaultyUpstream, tmp_path: Path) -> None:
    host = "registry.example.org"
    registry = upstream.registry(host, FullProfile(host=host, content=host, private=("team/*",)))
    made = upstream.add_image(f"{host}/team/app:1")
    registry.tokens.users["robot"] = "s3cret"
    with Access.open() as access, pytest.raises(FetchError) as refused:
        access.registry.manifest(f"{host}/team/app", "1")
    assert refused.value.status == 401
    config = tmp_path / "home" / ".docker" / "config.json"
    config.parent.mkdir()
    login = base64.b64encode(b"robot:s3cret").decode()
    config.write_text(json.dumps({"auths": {host: {"auth": login}}}), "utf-8")
    with Access.open() as access:
        assert access.registry.manifest(f"{host}/team/app", "1").digest == made.digest


def test_plain_http_is_spoken_where_that_is_said(upstream: FaultyUpstream, access: Access) -> None:
    made = upstream.add_image("plain.example.org/app:1")
    plainly = upstream.faults.add(
        NetworkFault(), path="/v2/app/*", where=lambda one: one.scheme == "http"
    )
    with Access.open(plain_http=["plain.example.org"]) as plain:
        assert plain.registry.manifest("plain.example.org/app", "1").digest == made.digest
    asked = plainly.hits
    assert asked > 0
    assert access.registry.manifest("plain.example.org/app", "1").digest == made.digest
    assert plainly.hits == asked

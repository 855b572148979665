"""The pages of ``airseed serve``, read as a browser without scripts reads them."""

from __future__ import annotations

import configparser
import hashlib
import http.client
import json
import re
import tomllib
from base64 import b64encode
from contextlib import closing
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
import yaml

from builder.model.digest import Digest
from builder.model.platform import Platform
from builder.pipeline.serve import serve
from builder.serve.content import Content
from builder.serve.page import Overview

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandboxes import Sample

HOST = "bastion.example.com:5000"
VOID = {"meta", "link", "input", "br"}
LOADING = {"src", "srcset", "action", "formaction", "data", "poster", "background"}


class Page(HTMLParser):
    """Hold what is on a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[tuple[str, dict[str, str]]] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.snippets: dict[str, str] = {}
        self.inline: dict[str, str] = {}
        self.words = ""
        self.feed(text)
        self.close()
        assert not self.open, "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.tags.append((tag, attributes))
        if tag not in VOID:
            self.open.append((tag, attributes))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        tag = self.open[-1][0] if self.open else ""
        if tag in {"style", "script"}:
            self.inline[tag] = data
            return
        self.words += data
        for each, attributes in self.open:
            if each == "pre" and (name := attributes.get("aria-label")):
                self.snippets[name] = self.snippets.get(name, "") + data

    def links(self) -> list[str]:
        return [attributes["href"] for _, attributes in self.tags if "href" in attributes]


Answer = tuple[int, dict[str, str], str]


@pytest.fixture
def address(sample: Sample) -> Iterator[str]:
    with serve([sample.bundle], address=("127.0.0.1", 0)) as serving:
        yield serving.address


def ask(address: str, path: str = "/", **headers: str) -> Answer:
    with closing(http.client.HTTPConnection(address, timeout=20)) as connection:
        connection.request("GET", path, headers={"Host": HOST, **headers})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode("utf-8", "replace")


def test_every_configuration_names_the_host_that_was_asked(address: str, sample: Sample) -> None:
    status, headers, text = ask(address)
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    page = Page(text)
    url = f"http://{HOST}"
    assert set(page.snippets) == {"yum and dnf", "docker", "containerd", "kubeadm", "airseed"}

    yum = configparser.ConfigParser()
    yum.read_string(page.snippets["yum and dnf"])
    assert set(yum) - {"DEFAULT"} == {
        f"airseed-{package.repository}" for package in sample.lock.packages
    }
    for name in yum.sections():
        base, keys = yum[name]["baseurl"], yum[name]["gpgkey"].split()
        assert keys
        for asked in (f"{base}repodata/repomd.xml", *keys):
            assert asked.startswith(f"{url}/")
            assert ask(address, asked.removeprefix(url))[0] == 200

    assert json.loads(page.snippets["docker"]) == {
        "registry-mirrors": [url],
        "insecure-registries": [HOST],
    }
    hosts = tomllib.loads(page.snippets["containerd"])
    assert hosts == {"host": {url: {"capabilities": ["pull", "resolve"]}}}
    kubernetes = sample.lock.subject.kubernetes
    assert yaml.safe_load(page.snippets["kubeadm"]) == {
        "kubernetesVersion": f"v{kubernetes}",
        "imageRepository": HOST,
    }
    assert yaml.safe_load(page.snippets["airseed"]) == {"seed": {"url": f"{url}/"}}


@pytest.mark.parametrize("forwarded", ["https", "HTTPS", "https, http", "https,http"])
def test_behind_a_proxy_that_does_tls_nothing_is_called_insecure(
    address: str, forwarded: str
) -> None:
    """Also behind two of them: each adds how it was asked itself."""
    page = Page(ask(address, **{"Host": "bastion", "X-Forwarded-Proto": forwarded})[2])
    assert json.loads(page.snippets["docker"]) == {"registry-mirrors": ["https://bastion"]}
    # a bare word would be a folder of Docker Hub's
    assert yaml.safe_load(page.snippets["airseed"])["registry"] == "bastion:443"


def test_all_that_is_served_is_listed_and_can_be_had(address: str, sample: Sample) -> None:
    page = Page(ask(address)[2])
    for image in sample.lock.images:
        assert image.name in page.words
        assert str(image.digest) in page.words
    links = set(page.links())
    for package in sample.lock.packages:
        assert any(link.endswith(package.nevra.filename) for link in links), package
    for link in {link for link in links if link.startswith("/") and "." in link}:
        assert ask(address, link)[0] == 200, link


def test_several_bundles_have_each_their_address(sample: Sample) -> None:
    """What they share is listed once; a seed pins one of them."""
    with serve([sample.bundle, sample.bundle], address=("127.0.0.1", 0)) as serving:
        page = Page(ask(serving.address)[2])
    yum = configparser.ConfigParser()  # refuses a section that is there twice
    yum.read_string(page.snippets["yum and dnf"])
    assert all("/bundles/" not in yum[name]["baseurl"] for name in yum.sections())
    url = f"http://{HOST}/bundles/bundle/"
    assert yaml.safe_load(page.snippets["airseed"]) == {"seed": {"url": url}}
    assert "# url: " in page.snippets["airseed"]
    assert page.words.count(str(sample.lock.images[0].digest)) == 1


def test_platforms_of_one_image_in_several_bundles_are_listed_together(sample: Sample) -> None:
    with serve([sample.bundle], address=("127.0.0.1", 0)) as serving:
        (one,) = serving.content.bundles
        image = one.lock.images[0]
        part = replace(
            image.manifests[0], platform=Platform.parse("linux/arm64"), digest=Digest("1" * 64)
        )
        lock = replace(one.lock, images=(replace(image, manifests=(part,)),))
        both = Overview(Content([one, replace(one, name="other", lock=lock)])).values["images"]
    shown = {each["name"]: each["platforms"] for each in both}
    assert len(both) == len(sample.lock.images)
    assert shown[image.name] == ["linux/amd64", "linux/arm64"]


def test_nothing_comes_from_outside_and_nothing_else_runs(address: str) -> None:
    _, headers, text = ask(address)
    page = Page(text)
    for tag, attributes in page.tags:
        assert not LOADING & set(attributes), tag
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
    for link in page.links():
        assert link.startswith(("/", "#", "data:")), link
        assert not link.startswith("//"), link
    policy = headers["Content-Security-Policy"]
    rules = dict(rule.split(maxsplit=1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    for tag in ("style", "script"):
        digest = b64encode(hashlib.sha256(page.inline[tag].encode()).digest()).decode()
        assert rules[f"{tag}-src"] == f"'sha256-{digest}'"
        assert not re.search(r"https?://|url\(|@import", page.inline[tag])


@pytest.mark.parametrize(
    "host",
    [
        "<script>alert(1)</script>",
        "a'onmouseover='alert(1)",
        'a"><img src=x>',
        "user@host",
        "host:port",
        "host:5000/path",
        "host x",
    ],
)
def test_a_host_that_could_be_no_host_gets_no_page(address: str, host: str) -> None:
    status, _, text = ask(address, Host=host)
    assert status == 400
    assert host not in text


def test_a_page_that_is_there_already_is_not_sent_again(address: str) -> None:
    tag = ask(address)[1]["ETag"]
    assert ask(address, **{"If-None-Match": tag})[0] == 304
    assert ask(address, **{"If-None-Match": tag, "Host": "other"})[0] == 200


def test_pages_stand_without_scripts(address: str) -> None:
    """What needs a script is hidden, and shown by the script itself."""
    page = Page(ask(address)[2])
    buttons = [attributes for tag, attributes in page.tags if tag in {"button", "form"}]
    assert buttons
    assert all("hidden" in attributes for attributes in buttons)
    assert sum(tag == "caption" for tag, _ in page.tags) == sum(
        tag == "table" for tag, _ in page.tags
    )

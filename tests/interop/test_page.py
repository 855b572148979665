"""The pages of ``airseed serve`` in a real browser: what they do, and what axe finds.

Pictures of both pages, light and dark, wide and narrow, are left in build/pages, to be looked at.
"""

from __future__ import annotations

import json
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from browser import Browser, find
from interop.programs import TOOLS

from builder.pipeline.boots import Watch
from builder.pipeline.serve import serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandboxes import Sample

pytestmark = pytest.mark.interop
AXE = TOOLS / "axe.js"
PICTURES = TOOLS.parent / "pages"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
LOOKS = [(1280, False), (1280, True), (390, False), (390, True)]
CLUSTER = """\
name: prod.example.com
kubernetes: 1.18.5
endpoint: 10.211.55.10
nodes:
  - {name: k8s01, role: control-plane, address: 10.211.55.11}
  - {name: k8s02, role: control-plane, address: 10.211.55.12}
  - {name: k8s03, role: control-plane, address: 10.211.55.13}
  - {name: k8s04, role: worker, address: 10.211.55.14}
  - {name: k8s05, role: worker, address: 10.211.55.15}
"""
STATES: dict[str, dict[str, Any]] = {
    "k8s01": {"role": "init", "state": "done", "step": "finish"},
    "k8s02": {
        "state": "waiting",
        "step": "kubeadm",
        "waiting_for": "the join lease, which k8s03 holds",
        "last_said": "kubelet: Container runtime network not ready: cni config uninitialized",
    },
    "k8s03": {"state": "running", "step": "images", "last_said": "calico/node:v3.18.6 is loaded"},
    "k8s04": {
        "state": "failed",
        "step": "packages",
        "attempt": 3,
        "exit_code": 1,
        "message": "no bundle was found: no disk has it, and the seed's URL does not answer",
        "hint": "attach the bundle as a disk, or serve it at the address that the seed names",
        "lines": ["looking at /dev/vdb: no bundle", "curl: (7) Failed to connect: No route"],
    },
}


def post(url: str, node: str, **fields: Any) -> None:
    now = int(time.time())
    own = {"format": 1, "cluster": "prod.example.com", "node": node, "role": "worker"}
    times = {"started": now - 200, "since": now - 40, "updated": now}
    body = json.dumps({**own, **times, **fields}).encode()
    headers = {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{url}/boots", body, headers)):  # noqa: S310 -- loopback
        pass


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = find()
    if program is None:
        pytest.skip("no chromium is installed: tests/interop/setup.sh")
    with Browser(program) as opened:
        yield opened


@pytest.fixture
def url(sample: Sample, tmp_path: Path) -> Iterator[str]:
    cluster = tmp_path / "cluster.yaml"
    cluster.write_text(CLUSTER, "utf-8")
    with serve([sample.bundle], address=("127.0.0.1", 0), watch=Watch(cluster=cluster)) as serving:
        address = f"http://{serving.address}"
        for node, fields in STATES.items():
            post(address, node, **fields)
        yield address


@pytest.mark.parametrize("path", ["/", "/boots"])
@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_axe_finds_nothing(
    browser: Browser, url: str, path: str, width: int, *, dark: bool
) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not there: tests/interop/setup.sh fetches it where npm is")
    browser.said.clear()
    browser.look(width=width, dark=dark)
    browser.open(f"{url}{path}")
    PICTURES.mkdir(parents=True, exist_ok=True)
    name = f"{path.strip('/') or 'index'}-{width}-{'dark' if dark else 'light'}.png"
    browser.screenshot(PICTURES / name)
    browser.evaluate("document.querySelectorAll('details').forEach((each) => each.open = true)")
    browser.evaluate(AXE.read_text("utf-8") + ";0")
    passed, found = browser.evaluate(
        f"axe.run({{runOnly: {json.dumps(RULES)}}}).then((found) => [found.passes.length, "
        "found.violations.map((each) => `${each.id}: ${each.nodes.map((node) => node.html)}`)])"
    )
    assert found == []
    assert passed > 20
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.said == []


def test_the_filter_leaves_what_was_asked_for(browser: Browser, url: str) -> None:
    browser.look(width=1280)
    browser.open(url)
    shown = "[...document.querySelectorAll('[data-filtered] tbody tr')].filter((e) => !e.hidden)"
    everything = browser.evaluate(f"{shown}.length")
    browser.evaluate(
        "const box = document.getElementById('find');"
        "box.value = 'calico NODE'; box.dispatchEvent(new Event('input', {bubbles: true}))"
    )
    rows = browser.evaluate(f"{shown}.map((e) => e.textContent)")
    assert rows
    assert all("calico/node" in row for row in rows)
    assert (
        browser.evaluate("document.getElementById('found').textContent")
        == f"{len(rows)} of {everything}"
    )


def test_a_configuration_is_copied(browser: Browser, url: str) -> None:
    """Also where no TLS is and the browser has no clipboard for scripts: it is selected then."""
    browser.look(width=1280)
    browser.open(url)
    browser.evaluate(
        "document.execCommand = (what) => {"
        " window.copied = [what, document.activeElement.value]; return true; };"
        "Object.defineProperty(navigator, 'clipboard', {value: undefined});"
        "document.querySelectorAll('.snippet .copy')[1].click()"
    )
    browser.wait_for("window.copied")
    what, text = browser.evaluate("window.copied")
    host = url.removeprefix("http://")
    assert what == "copy"
    assert json.loads(text) == {"registry-mirrors": [url], "insecure-registries": [host]}
    browser.wait_for("said.textContent === 'Copied'")


def test_the_table_is_live(browser: Browser, url: str) -> None:
    browser.look(width=1280)
    browser.open(f"{url}/boots")
    rows = "[...document.querySelectorAll('#live tbody tr')]"
    row = f"{rows}.find((each) => each.textContent.includes('k8s05'))"
    assert "nothing was heard of it" in browser.evaluate(f"{row}.textContent")
    browser.evaluate("document.querySelector('details').open = true")
    begun = time.monotonic()
    post(url, "k8s05", state="waiting", step="kubeadm", waiting_for="<b>the API server</b>")
    browser.wait_for(f"{row}.textContent.includes('waiting for <b>the API server</b>')")
    assert time.monotonic() - begun < 5
    # what a reader had opened stays open
    assert browser.evaluate("document.querySelector('details').open") is True
    for node in ("k8s02", "k8s03", "k8s04", "k8s05"):
        post(url, node, state="done", step="finish")
    browser.wait_for("document.querySelectorAll('#live .state.done').length === 6")
    assert browser.evaluate("said.textContent") == "done 5"


def test_pages_stand_without_scripts(browser: Browser, url: str) -> None:
    browser.scripts(run=False)
    try:
        browser.look(width=1280)
        browser.open(f"{url}/boots")
        assert browser.evaluate("document.querySelector('noscript meta').content") == "10"
        browser.open(url)
        visible = "[...document.querySelectorAll('button, form')].filter((e) => e.offsetParent)"
        assert browser.evaluate(f"{visible}.length") == 0
        assert browser.evaluate("document.querySelector('pre').offsetHeight") > 0
    finally:
        browser.scripts(run=True)

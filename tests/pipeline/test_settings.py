"""``airseed changes``: other settings for the programs of a cluster that runs, and certificates."""

from __future__ import annotations

import base64
import json
import re
import shlex
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from builder.cli.root import run
from builder.pipeline import secrets, seeds
from builder.pipeline.workspace import Workspace
from builder.report import Silent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sandboxes import Sample, Sandbox


class Site:
    """Hold a cluster that was seeded, and what `airseed changes` says of it."""

    def __init__(self, folder: Path, catalog: Path) -> None:
        self.folder = folder
        self.catalog = catalog
        self.cluster = folder / "cluster.yaml"

    def edit(self, change: Callable[[dict[str, Any]], None]) -> None:
        document = yaml.safe_load(self.cluster.read_text("utf-8"))
        change(document)
        self.cluster.write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")

    def changes(self, *words: str) -> int:
        return run(["changes", str(self.cluster), "--catalog", str(self.catalog), *words])


@pytest.fixture
def site(sample: Sample, shared: Sandbox, tmp_path: Path) -> Site:
    for name in ("cluster.yaml", "cluster.lock"):
        shutil.copy(sample.folder / name, tmp_path / name)
    shutil.copytree(sample.folder / "cluster.lock.d", tmp_path / "cluster.lock.d")
    workspace = Workspace(tmp_path / "cluster.yaml", catalogs=[shared.catalog])
    secrets.make(workspace)
    seeds.write(workspace, reporter=Silent())
    return Site(tmp_path, shared.catalog)


def _settings(document: dict[str, Any], *path: str) -> dict[str, Any]:
    inner = document.setdefault("kubeadm", {})
    for key in path:
        inner = inner.setdefault(key, {})
    found: dict[str, Any] = inner
    return found


def _laid(script: Path, name: str) -> str:
    """Return what a machine's script lays down in the folder of the change."""
    text = script.read_text("utf-8")
    found = re.search(
        rf"^[^\n]*\b{re.escape(name)} <<'(\w+)'\n(.*?)^\1$", text, re.DOTALL | re.MULTILINE
    )
    assert found, name
    body = found[2]
    coded = re.fullmatch(r"[A-Za-z0-9+/=\n]+", body)
    return base64.b64decode(body).decode() if coded else body


def _value(script: Path, name: str) -> str:
    env = shlex.split(_laid(script, "1.env"))
    (value,) = (line.partition("=")[2] for line in env if line.startswith(f"AIRSEED_{name}="))
    return value


def _parts(folder: Path) -> dict[str, str]:
    """Return what each machine's script says is touched."""
    return {path.stem: _value(path, "PARTS") for path in sorted(folder.glob("*.sh"))}


def _sans(document: dict[str, Any]) -> None:
    _settings(document, "ClusterConfiguration", "apiServer")["certSANs"] = ["api.example"]


def test_another_name_concerns_control_planes_alone(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.edit(_sans)
    assert site.changes("--json", "--write") == 5
    value = json.loads(capsys.readouterr().out)
    assert value["change"] == "001-configure"
    assert [row["node"] for row in value["nodes"]] == ["k8s01", "k8s02", "k8s03"]
    assert {row["what"] for row in value["nodes"]} == {"settings: apiServer.certSANs"}
    assert _parts(site.folder / "changes/001-configure") == {
        "k8s01": "certificate",
        "k8s02": "certificate",
        "k8s03": "certificate",
    }


def test_each_setting_touches_what_it_belongs_to(site: Site) -> None:
    def edit(document: dict[str, Any]) -> None:
        _settings(document, "ClusterConfiguration", "scheduler", "extraArgs")["v"] = "4"
        _settings(document, "KubeProxyConfiguration")["mode"] = "ipvs"
        worker = next(node for node in document["nodes"] if node["name"] == "k8s05")
        worker["kubeadm"] = {
            "JoinConfiguration": {"nodeRegistration": {"kubeletExtraArgs": {"v": "5"}}}
        }

    site.edit(edit)
    assert site.changes("--write") == 5
    assert _parts(site.folder / "changes/001-configure") == {
        "k8s01": "scheduler kube-proxy",
        "k8s02": "scheduler",
        "k8s03": "scheduler",
        "k8s05": "kubelet",
    }


def test_kubelet_has_its_settings_everywhere(site: Site) -> None:
    site.edit(lambda document: _settings(document, "KubeletConfiguration").update(maxPods=50))
    assert site.changes("--write") == 5
    parts = _parts(site.folder / "changes/001-configure")
    assert parts == dict.fromkeys(("k8s01", "k8s02", "k8s03", "k8s04", "k8s05"), "kubelet")


def test_what_a_machine_reads_fits_kubeadms_phases_and_is_no_secret(site: Site) -> None:
    site.edit(lambda document: _settings(document, "KubeletConfiguration").update(maxPods=50))
    assert site.changes("--write") == 5
    text = (site.folder / "changes/001-configure/k8s04.sh").read_text("utf-8")
    laid = _laid(site.folder / "changes/001-configure/k8s04.sh", "1.yaml")
    documents = {one["kind"]: one for one in yaml.safe_load_all(laid)}
    assert set(documents) == {
        "InitConfiguration",
        "ClusterConfiguration",
        "KubeletConfiguration",
        "KubeProxyConfiguration",
    }
    own = documents["InitConfiguration"]
    assert own["nodeRegistration"]["name"] == "k8s04"
    assert own["localAPIEndpoint"]["advertiseAddress"]
    assert documents["KubeletConfiguration"]["maxPods"] == 50
    for name in ("token", "certificate-key"):
        secret = (site.folder / "secrets" / name).read_text("utf-8").strip()
        assert secret not in text
        assert base64.b64encode(secret.encode()).decode() not in text


def test_labels_and_taints_are_said_to_be_kubectls(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.edit(lambda document: document["nodes"][-1].update(labels={"disk": "fast"}))
    assert site.changes() == 0
    assert (
        "nodes.k8s05.registration.kubeletExtraArgs.node-labels: kubelet gives a node its labels "
        "and taints when it registers, and never again" in capsys.readouterr().err
    )


def test_renewal_is_asked_for(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.changes() == 0
    assert site.changes("--renew", "30", "--json", "--write") == 5
    value = json.loads(capsys.readouterr().out)
    assert value["change"] == "001-renew-30-days"
    assert [row["node"] for row in value["nodes"]] == ["k8s01", "k8s02", "k8s03", "k8s04", "k8s05"]
    script = site.folder / "changes" / value["change"] / "k8s04.sh"
    assert _value(script, "RENEW") == str(30 * 86400)
    # the kubelet of a worker whose certificate has ended asks by it
    token = (site.folder / "secrets/token").read_text("utf-8").strip()
    laid = yaml.safe_load_all(_laid(script, "1.yaml"))
    (own,) = (one for one in laid if one["kind"] == "InitConfiguration")
    assert own["bootstrapTokens"][0]["token"] == token
    assert "certificateKey" not in own


def test_renewal_goes_with_other_changes(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.edit(_sans)
    assert site.changes("--renew", "30", "--json") == 5
    stages = json.loads(capsys.readouterr().out)["stages"]
    assert [stage["plan"] for stage in stages] == ["renew", "configure"]

"""``airseed changes``: other settings for the programs of a cluster that runs, and certificates."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from changes_site import Site, laid, opened, seeded, values

if TYPE_CHECKING:
    from pathlib import Path

    from sandboxes import Sample, Sandbox


@pytest.fixture
def site(sample: Sample, shared: Sandbox, tmp_path: Path) -> Site:
    return seeded(Site(tmp_path, shared.catalog), sample)


def _settings(document: dict[str, Any], *path: str) -> dict[str, Any]:
    inner = document.setdefault("kubeadm", {})
    for key in path:
        inner = inner.setdefault(key, {})
    found: dict[str, Any] = inner
    return found


def _parts(folder: Path) -> dict[str, str]:
    """Return what each machine's script says is touched."""
    return {
        path.stem: values(path.read_text("utf-8"))["PARTS"] for path in sorted(folder.glob("*.sh"))
    }


def _sans(document: dict[str, Any]) -> None:
    _settings(document, "ClusterConfiguration", "apiServer")["certSANs"] = ["api.example"]


def test_another_name_concerns_control_planes_alone(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.edit_document(_sans)
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

    site.edit_document(edit)
    assert site.changes("--write") == 5
    assert _parts(site.folder / "changes/001-configure") == {
        "k8s01": "scheduler kube-proxy",
        "k8s02": "scheduler",
        "k8s03": "scheduler",
        "k8s05": "kubelet",
    }


def test_kubelet_has_its_settings_everywhere(site: Site) -> None:
    site.edit_document(
        lambda document: _settings(document, "KubeletConfiguration").update(maxPods=50)
    )
    assert site.changes("--write") == 5
    parts = _parts(site.folder / "changes/001-configure")
    assert parts == dict.fromkeys(("k8s01", "k8s02", "k8s03", "k8s04", "k8s05"), "kubelet")


def test_what_a_machine_reads_fits_kubeadms_phases_and_is_no_secret(site: Site) -> None:
    site.edit_document(
        lambda document: _settings(document, "KubeletConfiguration").update(maxPods=50)
    )
    assert site.changes("--write") == 5
    script = site.script("001-configure", "k8s04")
    documents = {one["kind"]: one for one in yaml.safe_load_all(laid(script, "1.yaml"))}
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
        assert secret not in opened(script)
        assert base64.b64encode(secret.encode()).decode() not in opened(script)


def test_labels_and_taints_are_said_to_be_kubectls(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.edit_document(lambda document: document["nodes"][-1].update(labels={"disk": "fast"}))
    assert site.changes() == 0
    said = "kubelet gives a node its labels and taints when it registers, and never again"
    assert f"k8s05: kubeletExtraArgs.node-labels: {said}\n" in capsys.readouterr().err
    # an empty list is none, and no list is kubeadm's own; many nodes are one line
    site.edit_document(lambda document: [n.update(taints=[]) for n in document["nodes"][:3]])
    assert site.changes() == 0
    assert f"k8s01, k8s02, k8s03: taints: {said}\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("KubeletConfiguration", "failSwapOn"), False),
        (("KubeletConfiguration", "featureGates", "CSIMigration"), False),
        (("KubeletConfiguration", "registryPullQPS"), 0),
        (("KubeletConfiguration", "enforceNodeAllocatable"), []),
    ],
)
def test_what_is_turned_off_is_a_setting(site: Site, path: tuple[str, ...], value: object) -> None:
    """False, 0 and an empty list say something; leaving it out says nothing."""
    site.edit_document(lambda document: _settings(document, *path[:-1]).update({path[-1]: value}))
    assert site.changes() == 5


def test_names_of_a_certificate_have_no_order(site: Site) -> None:
    def turn(document: dict[str, Any]) -> None:
        _settings(document, "ClusterConfiguration", "apiServer")["certSANs"].reverse()
        _settings(document, "ClusterConfiguration", "etcd", "local")["peerCertSANs"].reverse()

    site.edit_document(turn)
    assert site.changes() == 0
    site.edit_document(_sans)
    assert site.changes() == 5


def test_renewal_is_asked_for(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.changes() == 0
    assert site.changes("--renew", "30", "--json", "--write") == 5
    value = json.loads(capsys.readouterr().out)
    assert value["change"] == "001-renew-30-days"
    assert [row["node"] for row in value["nodes"]] == ["k8s01", "k8s02", "k8s03", "k8s04", "k8s05"]
    script = site.script(value["change"], "k8s04")
    assert values(script)["RENEW"] == str(30 * 86400)
    # the kubelet of a worker whose certificate has ended asks by it
    token = (site.folder / "secrets/token").read_text("utf-8").strip()
    documents = yaml.safe_load_all(laid(script, "1.yaml"))
    (own,) = (one for one in documents if one["kind"] == "InitConfiguration")
    assert own["bootstrapTokens"][0]["token"] == token
    assert "certificateKey" not in own


def test_renewal_goes_with_other_changes(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.edit_document(_sans)
    assert site.changes("--renew", "30", "--json") == 5
    stages = json.loads(capsys.readouterr().out)["stages"]
    assert [stage["plan"] for stage in stages] == ["renew", "configure"]

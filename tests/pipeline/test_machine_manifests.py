"""Images of manifests among the files of machines: found, for the roles that get them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from builder.errors import DocumentError
from builder.model.demand import MACHINE
from builder.model.fingerprint import fingerprint
from builder.pipeline.workspace import Workspace
from builder.report import Silent

if TYPE_CHECKING:
    from pathlib import Path

    from builder.model.demand import Demand

NODES = """\
kubernetes: 1.18.5
endpoint: lb.example.internal:6443
nodes:
  - {name: a, role: control-plane, address: 10.0.0.1}
  - {name: b, role: worker, address: 10.0.0.2}
"""
POD = (
    "apiVersion: v1\nkind: Pod\nmetadata: {name: vip}\n"
    "spec: {hostNetwork: true, containers: [{name: vip, image: 'ghcr.io/vip/vip:v1'}]}\n"
)
STATIC = "/etc/kubernetes/manifests/vip.yaml"


class Warnings(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def warn(self, text: str, *, hint: str | None = None) -> None:  # noqa: ARG002 -- the protocol
        self.said.append(text)


def asked(folder: Path, more: str) -> Demand:
    (folder / "cluster.yaml").write_text(NODES + more, "utf-8")
    return Workspace(folder / "cluster.yaml").demand


def found(demand: Demand) -> dict[str, tuple[str, ...]]:
    return {str(i.reference): i.roles for i in demand.images if MACHINE in i.needed_by}


@pytest.mark.parametrize(
    ("who", "roles"),
    [
        ("machine: {%s}", ("control-plane", "worker")),
        ("roles: {control-plane: {machine: {%s}}}", ("control-plane",)),
        ("roles: {worker: {machine: {%s}}}", ("worker",)),
    ],
)
def test_a_static_pod_is_for_the_roles_that_get_it(
    who: str, roles: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "vip.yaml").write_text(POD, "utf-8")
    nothing = asked(tmp_path, "")
    demand = asked(tmp_path, who % f"files: [{{path: {STATIC}, source: vip.yaml}}]")
    assert found(nothing) == {}
    assert found(demand) == {"ghcr.io/vip/vip:v1": roles}
    assert fingerprint(demand) != fingerprint(nothing)
    (tmp_path / "vip.yaml").write_text(POD.replace("v1'", "v2'"), "utf-8")
    assert fingerprint(Workspace(tmp_path / "cluster.yaml").demand) != fingerprint(demand)


def test_a_file_of_one_node_and_other_manifests(tmp_path: Path) -> None:
    quoted = POD.replace("\n", "\\n").replace('"', "'")
    demand = asked(
        tmp_path,
        f"  - {{name: c, role: worker, address: 10.0.0.3, machine: {{files: "
        f'[{{path: /opt/addon.yml, content: "{quoted}"}}]}}}}\n'
        "machine:\n  files:\n"
        '    - {path: /opt/other.yaml, content: "a: {{ no manifest }}"}\n'
        '    - {path: /opt/none.json, content: "apiVersion: v1\\nkind: Pod\\nspec: 3"}\n'
        f'    - {{path: /opt/vip.txt, content: "{quoted.replace("v1", "v3")}"}}\n'
        "    - {path: /etc/kubernetes/manifests/.hidden.yaml, content: '{'}\n",
    )
    assert found(demand) == {"ghcr.io/vip/vip:v1": ("worker",)}


def test_a_port_of_services_in_a_static_pod_is_remarked(tmp_path: Path) -> None:
    pod = POD.replace("v1'", "v1', ports: [{containerPort: %s}]")
    more = f"machine: {{files: [{{path: {STATIC}, source: vip.yaml}}]}}"
    for port, told in ((30443, 1), (8443, 0)):
        (tmp_path / "vip.yaml").write_text(pod % port, "utf-8")
        asked(tmp_path, more)
        warnings = Warnings()
        Workspace(tmp_path / "cluster.yaml").warn_of_files(warnings)
        what = "a Service could get 30443 of the static pod vip on a, and take it over"
        expected = f"machine.files[0].source: {what} (expected a port outside 30000-32767)"
        assert warnings.said == [expected] * told


def test_every_mistake_in_a_static_pod_is_told(tmp_path: Path) -> None:
    (tmp_path / "vip.yaml").write_text(POD.replace("ghcr.io/vip/vip:v1", "${VIP}"), "utf-8")
    with pytest.raises(DocumentError) as caught:
        asked(
            tmp_path,
            f"machine: {{files: [{{path: {STATIC}, source: vip.yaml}},"
            f" {{path: {STATIC}.json, content: '{{'}}]}}\n",
        )
    first, second = map(str, caught.value.faults)
    assert first.startswith("machine.files: vip.yaml: Pod vip: spec.containers[0].image: '${VIP}'")
    assert second.startswith(f"machine.files: {STATIC}.json: line 1, column 2: not JSON: ")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("# later\n", "there is no pod in it"),
        (
            "{apiVersion: v1, kind: Pod, metadata: {name: x}}\n",
            (
                "line 1, column 2: kubectl and kubelet read what begins with { as JSON, and this "
                "is none: Expecting property name enclosed in double quotes"
            ),
        ),
        (f"{POD}---\n{POD}", "there are 2 documents in it, and the first alone is read"),
        (f"{POD}---\n# the end\n", ""),
        (POD.replace("kind: Pod", "kind: Deployment"), "Deployment is not a Pod of v1"),
        (POD.replace("v1\nkind", "v2\nkind"), "Pod is not a Pod of v1"),
        ("kind: List\nitems:\n- " + POD.strip().replace("\n", "\n  "), "a list is not a pod"),
        (POD.replace("name: vip}\nspec", "x: y}\nspec"), "the pod has no name"),
    ],
)
def test_what_kubelet_would_pass_by_is_refused(text: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "vip.yaml").write_text(text, "utf-8")
    more = f"machine: {{files: [{{path: {STATIC}, source: vip.yaml}}]}}\n"
    if not why:
        assert list(found(asked(tmp_path, more))) == ["ghcr.io/vip/vip:v1"]
        return
    with pytest.raises(DocumentError) as caught:
        asked(tmp_path, more)
    assert [str(fault) for fault in caught.value.faults] == [f"machine.files: vip.yaml: {why}"]
    (tmp_path / "cluster.yaml").write_text(
        (tmp_path / "cluster.yaml").read_text("utf-8").replace(STATIC, "/opt/vip.yaml"), "utf-8"
    )
    assert Workspace(tmp_path / "cluster.yaml").demand


@pytest.mark.parametrize(
    ("path", "text", "what"),
    [
        (STATIC, POD.replace("vip:v1'", "vip:v1', ports: [{containerPort: 10250}]"), "kubelet"),
        ("/etc/sysconfig/kubelet", "KUBELET_EXTRA_ARGS=--read-only-port=10256", "kube-proxy"),
        (
            "/lib/systemd/system/kubelet.service.d/20-site.conf",
            "[Service]\nEnvironment=KUBELET_EXTRA_ARGS=--read-only-port=10256",
            "kube-proxy",
        ),
    ],
)
def test_what_files_take_of_a_node_is_looked_at_beside_cluster_yaml(
    path: str, text: str, what: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text(text, "utf-8")
    with pytest.raises(DocumentError) as caught:
        asked(
            tmp_path, f"roles: {{worker: {{machine: {{files: [{{path: {path}, source: file}}]}}}}}}"
        )
    (fault,) = caught.value.faults
    assert fault.where == "roles.worker.machine.files[0].source"
    assert f"is where {what} listens on b" in fault.what


def test_releases_on_the_way_have_their_say_on_files(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("KUBELET_EXTRA_ARGS=--network-plugin=cni\n", "utf-8")
    more = "machine: {files: [{path: /etc/sysconfig/kubelet, source: file}]}\nruntime: containerd\n"
    (tmp_path / "cluster.yaml").write_text(NODES.replace("1.18.5", "1.23.17") + more, "utf-8")
    assert Workspace(tmp_path / "cluster.yaml").demand
    way = NODES.replace("1.18.5", "1.24.17") + more + "changes: {from: 1.23.17}\n"
    (tmp_path / "cluster.yaml").write_text(way, "utf-8")
    with pytest.raises(DocumentError) as caught:
        assert Workspace(tmp_path / "cluster.yaml").demand
    (fault,) = caught.value.faults
    assert fault.what == "kubelet has no argument --network-plugin since 1.24"

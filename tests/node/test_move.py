"""From one endpoint to another on a node that runs: nothing is asked at before it answers."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest
from api_server import Api, serving

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from conftest import Authority, Machine

OLD, NEW = "https://10.0.0.1:6443", "https://10.0.0.60:6443"
CONFS = ("admin", "controller-manager", "scheduler", "kubelet")
KUBECONFIG = """\
apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: eA==
    server: {server}
  name: kubernetes
kind: Config
users:
- user:
    client-certificate-data: {certificate}
    client-key-data: {key}
"""
_KUBEADM = """
K=$(cat "$R/bound")
case "$*" in
"init phase kubeconfig "*)
    [ ! -e "$K/$4.conf" ] || exit 1
    server=$(cat "$R/server-$4" 2>/dev/null || echo https://10.0.0.60:6443)
    sed "s|server: .*|server: $server|" "$R/a.conf" >"$K/$4.conf"
    ;;
esac
"""
_KUBECTL = """
case "$*" in
*"get --raw /healthz") echo ok ;;
*"get configmap cluster-info"*) cat "$R/cluster-info" ;;
*"patch configmap cluster-info"*) printf '%s' "${*: -1}" >"$R/patch" ;;
*"get node "*Ready*) printf True ;;
*"get daemonset calico-node"*) cat "$R/method" ;;
*"set env daemonset"* | *"patch installation"*) printf can-reach=10.0.0.1 >"$R/method" ;;
*"rollout status daemonset calico-node"*) [ -e "$R/rolling" ] || echo successfully rolled out ;;
esac
"""


@pytest.fixture
def plane(first: Machine) -> Machine:
    """Return a control plane whose kubeconfigs lead to its own address."""
    first.use("pods", "configure")
    first.stand_in("kubeadm", _KUBEADM)
    first.stand_in("kubectl", _KUBECTL)
    first.environment["AIRSEED_STAGE"] = "1"
    pair = [
        base64.b64encode((first.authority.folder / f"apiserver-kubelet-client.{kind}").read_bytes())
        for kind in ("crt", "key")
    ]
    text = KUBECONFIG.format(server=OLD, certificate=pair[0].decode(), key=pair[1].decode())
    for path in (*(f"etc/kubernetes/{name}.conf" for name in CONFS), "a.conf", "cluster-info"):
        first.write(path, text, 0o600)
    for name in ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"):
        first.write(f"etc/kubernetes/manifests/{name}.yaml", f"kind: Pod\n# {name}\nstatus: {{}}\n")
    first.write("etc/airseed/change/id", f"001-endpoint sha256:{'0' * 64}\n")
    first.write("etc/airseed/change/1.yaml", "kind: ClusterConfiguration\n", 0o600)
    return first


def _run(machine: Machine, plan: str, step: str, **more: str) -> subprocess.CompletedProcess[str]:
    values = {"ENDPOINT": "10.0.0.60:6443", "PLANES": "k8s01 k8s02", **more}
    machine.lay_env("etc/airseed/change/1.env", CHANGE="001-endpoint", STAGES="2", **values)
    return machine.run("run", plan, step)


def _servers(machine: Machine) -> dict[str, str]:
    return {
        name: line.partition(": ")[2]
        for name in CONFS
        for line in (machine.root / f"etc/kubernetes/{name}.conf").read_text().splitlines()
        if "server: " in line
    }


def _restarts(machine: Machine) -> list[list[str]]:
    return [*machine.called("docker", "stop"), *machine.called("systemctl", "restart")]


def test_all_of_a_control_plane_asks_at_the_endpoint_and_who_joins_is_told(plane: Machine) -> None:
    before = (plane.root / "etc/kubernetes/kubelet.conf").read_text()
    ran = _run(plane, "move", "move")
    assert ran.returncode == 0, ran.stdout
    assert _servers(plane) == dict.fromkeys(CONFS, NEW)
    # all else in them is as it was
    assert (plane.root / "etc/kubernetes/kubelet.conf").read_text() == before.replace(OLD, NEW)
    own = (plane.root / "root/.kube/config").read_text()
    assert own == (plane.root / "etc/kubernetes/admin.conf").read_text()
    assert len(plane.called("docker", "stop")) == 2
    assert plane.called("systemctl") == [["systemctl", "restart", "kubelet.service"]]
    assert f"server: {NEW}\\n" in (plane.root / "patch").read_text()
    plane.write("cluster-info", before.replace(OLD, NEW))
    (plane.root / "patch").unlink()
    done = len(_restarts(plane))
    assert _run(plane, "move", "move").returncode == 0
    assert len(_restarts(plane)) == done
    assert not (plane.root / "patch").exists()
    assert not (plane.root / "run/airseed-aside").exists()


def test_what_kubeadm_keeps_at_its_own_api_server_stays_there(plane: Machine) -> None:
    for name in ("controller-manager", "scheduler"):
        plane.write(f"server-{name}", OLD)
    assert _run(plane, "move", "move", PLANES="k8s02 k8s01").returncode == 0
    kept = {name: OLD if name in {"controller-manager", "scheduler"} else NEW for name in CONFS}
    assert _servers(plane) == kept
    assert plane.called("docker", "stop") == []
    # the first control plane tells who joins
    assert not (plane.root / "patch").exists()


def test_a_worker_has_kubelets_own_alone(plane: Machine) -> None:
    for name in CONFS[:3]:
        (plane.root / f"etc/kubernetes/{name}.conf").unlink()
    plane.set(NODE="k8s04", ROLE="worker")
    assert _run(plane, "move", "move").returncode == 0
    assert NEW in (plane.root / "etc/kubernetes/kubelet.conf").read_text()
    assert plane.called("kubeadm") == []
    assert _restarts(plane) == [["systemctl", "restart", "kubelet.service"]]


def test_a_restart_that_a_power_cut_took_comes_all_the_same(plane: Machine) -> None:
    for name in CONFS:
        file = plane.root / f"etc/kubernetes/{name}.conf"
        file.write_text(file.read_text().replace(OLD, NEW))
    plane.write("var/lib/airseed/changed/kubelet", "")
    plane.write("var/lib/airseed/changed/kube-scheduler", "")
    assert _run(plane, "move", "move").returncode == 0
    assert len(plane.called("docker", "stop")) == 1
    assert plane.called("systemctl") == [["systemctl", "restart", "kubelet.service"]]


@pytest.fixture
def api(authority: Authority) -> Iterator[Api]:
    yield from serving(Api(authority), "apiserver", ("127.0.0.1", 0))


@pytest.fixture
def node(plane: Machine) -> Machine:
    """Return the same with kubelet's certificate, and no patience."""
    plane.environment["AIRSEED_ENDPOINT_PATIENCE"] = "1"
    folder = plane.authority.folder
    plane.write("etc/kubernetes/pki/ca.crt", (folder / "ca.crt").read_bytes())
    own = b"".join((folder / f"apiserver-kubelet-client.{k}").read_bytes() for k in ("crt", "key"))
    plane.write("var/lib/kubelet/pki/kubelet-client-current.pem", own, 0o600)
    return plane


def test_an_endpoint_that_answers_is_one_to_move_to(node: Machine, api: Api) -> None:
    ran = _run(node, "endpoint", "carry", ENDPOINT_NEXT=f"127.0.0.1:{api.port}")
    assert ran.returncode == 0, ran.stdout
    assert ("GET", "/version") in api.seen


@pytest.mark.parametrize(
    ("following", "why"),
    [
        ("127.0.0.1:1", "nobody listens there"),
        ("localhost:PORT", "the certificate there is of another authority, or has not this name"),
        ("lb.invalid:6443", "its name is not known here"),
    ],
)
def test_nobody_moves_to_where_no_answer_comes_from(
    node: Machine, api: Api, following: str, why: str
) -> None:
    following = following.replace("PORT", str(api.port))
    ran = _run(node, "endpoint", "carry", ENDPOINT_NEXT=following)
    assert ran.returncode == 1, ran.stdout
    assert node.result["message"] == f"no API server answers at {following}: {why}"
    assert node.result["hint"].startswith("until it does, all go on asking at 10.0.0.60:6443")


LED = '"nodeAddressAutodetectionV4":{"firstFound":null,"canReach":"10.0.0.1"}'


@pytest.mark.parametrize(
    ("cni", "words"),
    [
        ("calico-manifest", "IP_AUTODETECTION_METHOD=can-reach=10.0.0.1"),
        ("calico-operator", f'{{"spec":{{"calicoNetwork":{{{LED}}}}}}}'),
    ],
)
@pytest.mark.parametrize("before", ["", "first-found", "interface=eth.*"])
def test_calico_is_not_left_to_find_the_endpoints_address(
    node: Machine, api: Api, cni: str, words: str, before: str
) -> None:
    node.stand_in("ip", 'echo "2: eth0 inet 10.0.0.1/24 scope global eth0"')
    node.write("method", before)
    values = {"ADDRESS": "10.0.0.1", "CNI": cni, "CNI_REACH": "10.0.0.1", "ENDPOINT_BY": "kube-vip"}
    for _ in range(2):
        ran = _run(node, "endpoint", "carry", ENDPOINT_NEXT=f"127.0.0.1:{api.port}", **values)
        assert ran.returncode == 0, ran.stdout
    told = [call[-1] for call in node.called("kubectl") if {"set", "patch"} & {*call}]
    # what somebody has chosen stays
    assert told == ([] if before.startswith("interface") else [words])


def test_calico_is_waited_for_by_whoever_told_it(node: Machine, api: Api) -> None:
    """A try that was cut off after it had told Calico must not pass for a rollout."""
    node.write("method", "")
    node.write("rolling", "")
    values = {"ADDRESS": "10.0.0.1", "CNI": "calico-manifest", "CNI_REACH": "10.0.0.1"}
    values |= {"ENDPOINT_BY": "kube-vip", "ENDPOINT_NEXT": f"127.0.0.1:{api.port}"}
    node.stand_in("ip", 'echo "2: eth0 inet 10.0.0.1/24 scope global eth0"')
    node.environment["AIRSEED_ROLLOUT_PATIENCE"] = "0"
    for _ in range(2):
        assert _run(node, "endpoint", "carry", **values).returncode == 1
        assert node.result["message"] == "Calico can't be told to look for the nodes' own addresses"
    (node.root / "rolling").unlink()
    assert _run(node, "endpoint", "carry", **values).returncode == 0

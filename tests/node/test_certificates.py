"""Certificates that are renewed, and nodes brought back whose certificates have ended."""

from __future__ import annotations

import base64
import datetime as dt
import itertools
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

if TYPE_CHECKING:
    import subprocess

    from conftest import Authority, Machine

DAY = 86400
LAST = 142
"""More calls than renewing a control plane makes, those of openssl among them."""
WORKERS_LAST = 6
"""How many calls renewing a worker makes."""
TOKEN = "abcdef.0123456789abcdef"  # noqa: S105 -- opens nothing
PODS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
ALL = (
    *("apiserver-etcd-client", "apiserver-kubelet-client", "apiserver", "etcd-healthcheck-client"),
    *("etcd-peer", "etcd-server", "front-proxy-client"),
    *("admin.conf", "controller-manager.conf", "scheduler.conf"),
)


def _leaves(made: Authority, life: dt.timedelta) -> None:
    """Issue what kubeadm signs, by the authorities that are there."""
    for name in ("apiserver", "apiserver-kubelet-client", "client"):
        made.issue(name, life=life)
    for name in ("apiserver-etcd-client", "etcd/server", "etcd/peer", "etcd/healthcheck-client"):
        made.issue(name, of="etcd/ca", life=life)
    made.issue("front-proxy-client", of="front-proxy-ca", life=life)


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Path:
    """Hold what kubeadm and the cluster sign anew."""
    return _issued(tmp_path_factory.mktemp("fresh"), authority, dt.timedelta(days=366))


@pytest.fixture(scope="session")
def ending(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Path:
    """Hold what ends in nine days."""
    return _issued(tmp_path_factory.mktemp("ending"), authority, dt.timedelta(days=10))


@pytest.fixture(scope="session")
def ended(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Path:
    """Hold what ended an hour ago."""
    return _issued(tmp_path_factory.mktemp("ended"), authority, dt.timedelta(hours=23))


def _issued(folder: Path, authority: Authority, life: dt.timedelta) -> Path:
    _leaves(authority.in_folder(folder), life)
    return folder


def _lay(machine: Machine, certificates: Path, *, worker: bool = False) -> None:
    """Let a machine run with these certificates."""
    root, pki = machine.root, machine.root / "etc/kubernetes/pki"
    kubelet = root / "var/lib/kubelet"
    (kubelet / "pki").mkdir(parents=True)
    (kubelet / "config.yaml").write_text("kind: KubeletConfiguration\n")
    (kubelet / "kubeadm-flags.env").write_text('KUBELET_KUBEADM_ARGS="--a=b"\n')
    client = "".join((certificates / f"client.{suffix}").read_text() for suffix in ("crt", "key"))
    (kubelet / "pki/kubelet-client-1.pem").write_text(client)
    (kubelet / "pki/kubelet-client-current.pem").symlink_to("kubelet-client-1.pem")
    for suffix in ("crt", "key"):
        shutil.copy(certificates / f"client.{suffix}", kubelet / f"pki/kubelet.{suffix}")
    path = "client-certificate: /var/lib/kubelet/pki/kubelet-client-current.pem"
    server = "    server: https://10.0.0.1:6443"
    machine.write("etc/kubernetes/kubelet.conf", f"kind: Config\n{server}\n    {path}\n", 0o600)
    if worker:
        machine.write("etc/kubernetes/pki/ca.crt", (certificates / "ca.crt").read_bytes())
    else:
        shutil.copytree(certificates, pki, ignore=shutil.ignore_patterns("client.*"))
        (root / "var/lib/etcd/member").mkdir(parents=True)
        for name in ("admin", "controller-manager", "scheduler"):
            machine.write(f"etc/kubernetes/{name}.conf", _kubeconfig(certificates), 0o600)
        for pod in PODS:
            machine.write(f"etc/kubernetes/manifests/{pod}.yaml", f"kind: Pod\n# {pod}\n", 0o600)
    machine.write("etc/airseed/change/id", f"001-renew sha256:{'0' * 64}\n")
    machine.write("etc/airseed/change/1.yaml", f"bootstrapTokens:\n- token: {TOKEN}\n", 0o600)


def _kubeconfig(certificates: Path) -> str:
    certificate, key = (
        base64.b64encode((certificates / f"client.{suffix}").read_bytes()).decode()
        for suffix in ("crt", "key")
    )
    return f"kind: Config\n    client-certificate-data: {certificate}\n    client-key-data: {key}\n"


def _prepare(machine: Machine, fresh: Path) -> None:
    machine.use("pods", "renewal")
    machine.environment |= {"AIRSEED_STAGE": "1", "FRESH": str(fresh)}


@pytest.fixture
def plane(first: Machine, fresh: Path) -> Machine:
    """Return a control plane in a change; :func:`_lay` gives it its certificates."""
    _prepare(first, fresh)
    return first


@pytest.fixture
def worker(machine: Machine, fresh: Path) -> Machine:
    _prepare(machine, fresh)
    return machine


def _run(
    machine: Machine, *steps: str, days: int = 30, plan: str = "renew", **more: str
) -> subprocess.CompletedProcess[str]:
    values = {
        "CHANGE": "001-renew",
        "STAGES": "1",
        "LAST": "1",
        "PLANES": "k8s01",
        "RENEW": str(days * DAY),
    }
    machine.lay_env("etc/airseed/change/1.env", **values | more)
    return machine.run("run", plan, *steps)


def _renewed(machine: Machine) -> list[str]:
    return [call[4] for call in machine.called("kubeadm", "alpha", "certs", "renew")]


def _stopped(machine: Machine) -> list[str]:
    return [pod for pod in PODS if (machine.root / f"stopped-{pod}").exists()]


def _same(machine: Machine, certificates: Path, name: str) -> bool:
    ours = machine.root / "etc/kubernetes/pki"
    return all(
        (ours / f"{name}.{suffix}").read_bytes() == (certificates / f"{name}.{suffix}").read_bytes()
        for suffix in ("crt", "key")
    )


def test_all_that_ends_is_renewed_and_restarted_one_after_another(
    plane: Machine, ending: Path, fresh: Path
) -> None:
    _lay(plane, ending)
    ran = _run(plane, "renew")
    assert ran.returncode == 0, ran.stdout
    assert sorted(_renewed(plane)) == sorted(ALL)
    for name in ("apiserver", "etcd/peer", "front-proxy-client"):
        assert _same(plane, fresh, name)
    admin = (plane.root / "etc/kubernetes/admin.conf").read_text()
    assert admin == (plane.root / "root/.kube/config").read_text()
    assert (plane.root / "etc/kubernetes/pki/apiserver.key").stat().st_mode & 0o777 == 0o600
    # etcd first, each seen to answer before the next
    order = [call for call in plane.calls if call[:2] == ["docker", "stop"] or "/healthz" in call]
    stops = [place for place, call in enumerate(order) if call[0] == "docker"]
    assert len(stops) == len(PODS)
    assert all(after - before > 5 for before, after in itertools.pairwise(stops))
    # the kubelet's own, too
    assert (plane.root / "var/lib/kubelet/pki/kubelet-client-current.pem").read_bytes() == (
        (fresh / "client.crt").read_bytes() + (fresh / "client.key").read_bytes()
    )
    assert len(plane.called("systemctl", "restart", "kubelet.service")) == 1
    assert not (plane.root / "run/airseed-aside").exists()


def test_what_lasts_is_left_alone(plane: Machine, fresh: Path) -> None:
    _lay(plane, fresh)
    for step in ("repair", "renew"):
        ran = _run(plane, step)
        assert ran.returncode == 0, ran.stdout
    assert [call[1:4] for call in plane.called("kubeadm")] == [["init", "phase", "bootstrap-token"]]
    assert _stopped(plane) == []
    assert plane.called("systemctl") == []


def test_only_what_works_with_a_renewed_certificate_starts_again(
    plane: Machine, ending: Path, fresh: Path
) -> None:
    _lay(plane, fresh)
    for suffix in ("crt", "key"):
        name = f"etcd/peer.{suffix}"
        shutil.copy(ending / name, plane.root / "etc/kubernetes/pki" / name)
    ran = _run(plane, "renew")
    assert ran.returncode == 0, ran.stdout
    assert _renewed(plane) == ["etcd-peer"]
    assert _stopped(plane) == ["etcd"]


def test_days_count(plane: Machine, ending: Path) -> None:
    _lay(plane, ending)
    assert _run(plane, "renew", days=8).returncode == 0
    assert plane.called("kubeadm") == []


def test_a_certificate_that_does_not_fit_its_key_is_renewed(
    plane: Machine, ending: Path, fresh: Path
) -> None:
    """A power cut came between the two."""
    _lay(plane, fresh)
    shutil.copy(ending / "apiserver.key", plane.root / "etc/kubernetes/pki/apiserver.key")
    assert _run(plane, "renew").returncode == 0
    assert _renewed(plane) == ["apiserver"]
    assert _stopped(plane) == ["kube-apiserver"]


def test_what_was_renewed_before_the_runner_ended_starts_again_later(
    plane: Machine, ending: Path
) -> None:
    _lay(plane, ending)
    (plane.root / "cut-in-stop").touch()
    assert _run(plane, "renew").returncode != 0
    assert _renewed(plane)
    assert _stopped(plane) == []
    renewed = _renewed(plane)
    assert _run(plane, "renew").returncode == 0
    assert _renewed(plane) == renewed
    assert _stopped(plane) == list(PODS)


def test_a_server_that_shows_another_certificate_is_named(plane: Machine, fresh: Path) -> None:
    _lay(plane, fresh)
    (plane.root / "shows-another").touch()
    plane.environment["AIRSEED_SHOW_PATIENCE"] = "0"
    ran = _run(plane, "renew")
    assert ran.returncode == 1
    assert plane.result["message"] == (
        f"what listens at port 6443 shows another certificate than "
        f"{plane.root}/etc/kubernetes/pki/apiserver.crt"
    )


def test_an_authority_that_ends_itself_is_said_first(plane: Machine, ending: Path) -> None:
    _lay(plane, ending)
    ran = _run(plane, "repair", days=4000)
    assert ran.returncode == 1
    assert plane.result["message"].startswith("the authority ca ends itself: notAfter=")
    assert plane.called("kubeadm") == []


def test_a_worker_gets_a_certificate_by_a_token(worker: Machine, ending: Path) -> None:
    _lay(worker, ending, worker=True)
    assert _run(worker, "repair").returncode == 0
    assert worker.called("systemctl") == []
    ran = _run(worker, "renew")
    assert ran.returncode == 0, ran.stdout
    assert worker.called("kubeadm") == []
    link = worker.root / "var/lib/kubelet/pki/kubelet-client-current.pem"
    assert link.readlink() == Path("kubelet-client-2.pem")
    conf = (worker.root / "etc/kubernetes/kubelet.conf").read_text()
    assert 'server: "https://10.0.0.1:6443"' in conf
    assert not (worker.root / "etc/kubernetes/bootstrap-kubelet.conf").exists()
    assert TOKEN not in ran.stdout


def test_a_worker_keeps_what_it_has_where_the_cluster_signs_nothing(
    worker: Machine, ending: Path
) -> None:
    _lay(worker, ending, worker=True)
    before = (worker.root / "etc/kubernetes/kubelet.conf").read_bytes()
    (worker.root / "signs-nothing").touch()
    worker.environment["AIRSEED_CLUSTER_PATIENCE"] = "0"
    ran = _run(worker, "renew")
    assert ran.returncode == 1
    assert worker.result["message"].startswith("the cluster signs this kubelet no certificate")
    link = worker.root / "var/lib/kubelet/pki/kubelet-client-current.pem"
    assert link.readlink() == Path("kubelet-client-1.pem")
    assert (worker.root / "etc/kubernetes/kubelet.conf").read_bytes() == before
    (worker.root / "signs-nothing").unlink()
    assert _run(worker, "renew").returncode == 0
    assert link.readlink() == Path("kubelet-client-2.pem")


def test_a_control_plane_whose_certificates_ended_is_brought_back_at_once(
    plane: Machine, ended: Path, fresh: Path
) -> None:
    _lay(plane, ended)
    ran = _run(plane, "repair")
    assert ran.returncode == 0, ran.stdout
    assert sorted(_renewed(plane)) == sorted(ALL)
    assert _stopped(plane) == list(PODS)
    assert plane.called("kubeadm", "init", "phase", "kubeconfig", "kubelet")
    made = x509.load_pem_x509_certificate(
        (plane.root / "var/lib/kubelet/pki/kubelet-client-current.pem").read_bytes()
    )
    kept = x509.load_pem_x509_certificate((fresh / "client.crt").read_bytes())
    assert made == kept
    # and the door is open for workers
    assert plane.called("kubeadm", "init", "phase", "bootstrap-token")
    # what is left for its turn is nothing
    calls = len(plane.called("kubeadm"))
    assert _run(plane, "renew").returncode == 0
    assert len(plane.called("kubeadm")) == calls


def test_a_worker_whose_certificate_ended_asks_without_its_turn(
    worker: Machine, ended: Path
) -> None:
    _lay(worker, ended, worker=True)
    ran = _run(worker, "repair")
    assert ran.returncode == 0, ran.stdout
    link = worker.root / "var/lib/kubelet/pki/kubelet-client-current.pem"
    assert link.readlink() == Path("kubelet-client-2.pem")


def _crash(machine: Machine, turn: int) -> None:
    machine.environment["CRASH"] = str(turn)
    _run(machine, "renew")
    del machine.environment["CRASH"]


@pytest.mark.parametrize("turn", range(5, LAST, 17))
def test_the_runner_ends_at_any_call(plane: Machine, ending: Path, fresh: Path, turn: int) -> None:
    _lay(plane, ending)
    _crash(plane, turn)
    ran = _run(plane, "renew")
    assert ran.returncode == 0, ran.stdout
    for name in ("apiserver", "etcd/server", "etcd/peer", "front-proxy-client"):
        assert _same(plane, fresh, name)
    # whatever works with them has been started since
    assert _stopped(plane) == list(PODS)
    assert not (plane.root / "run/airseed-aside").exists()


def test_no_call_comes_behind_the_last_turn(plane: Machine, ending: Path) -> None:
    _lay(plane, ending)
    assert _run(plane, "renew").returncode == 0
    assert len(plane.calls) > LAST - 17, "turns that cut nothing"


@pytest.mark.parametrize("turn", range(1, WORKERS_LAST + 1))
def test_a_worker_whose_runner_ends_at_any_call(worker: Machine, ending: Path, turn: int) -> None:
    _lay(worker, ending, worker=True)
    _crash(worker, turn)
    ran = _run(worker, "renew")
    assert ran.returncode == 0, ran.stdout
    link = worker.root / "var/lib/kubelet/pki/kubelet-client-current.pem"
    assert link.readlink() == Path("kubelet-client-2.pem")
    assert not (worker.root / "etc/kubernetes/bootstrap-kubelet.conf").exists()
    assert (worker.root / "etc/kubernetes/kubelet.conf").exists()


def test_no_turn_comes_behind_a_workers_last_call(worker: Machine, ending: Path) -> None:
    _lay(worker, ending, worker=True)
    assert _run(worker, "renew").returncode == 0
    assert len(worker.calls) == WORKERS_LAST, "turns that cut nothing"

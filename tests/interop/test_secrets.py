"""What ``secrets`` and ``kubeconfig`` make, in the hands of a real kubeadm and kube-apiserver."""

from __future__ import annotations

import base64
import json
import shutil
import ssl
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPSConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import openssl
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from interop.programs import daemon, environment, free_port, listens, run

from builder.pipeline import kubeconfig, paths, secrets
from builder.pipeline.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.interop
VERSION = "1.18.5"
COMMANDS = ("kubeadm", "kube-apiserver", "kubectl")
BROUGHT = (
    *("ca.crt", "ca.key", "etcd/ca.crt", "etcd/ca.key"),
    *("front-proxy-ca.crt", "front-proxy-ca.key", "sa.key", "sa.pub"),
)
_BUILD = 3600


@pytest.fixture(scope="session")
def kubernetes() -> Path:
    """Build the real commands, or find what an earlier run built."""
    script = Path(__file__).with_name("build-kubernetes")
    done = subprocess.run(
        [script, VERSION, *COMMANDS], stdout=subprocess.PIPE, text=True, check=True, timeout=_BUILD
    )
    return Path(done.stdout.strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """Hold a running API server of one cluster."""

    cluster: Path
    """Its cluster.yaml."""
    server: str
    pki: Path
    """What stands on a node as /etc/kubernetes/pki."""
    commands: Path
    env: dict[str, str]

    def admin(self) -> Path:
        """Return an administrator's kubeconfig."""
        path = kubeconfig.mint(Workspace(self.cluster), server=self.server, force=True).path
        assert path is not None
        return path

    def kubectl(self, config: Path, *words: str) -> subprocess.CompletedProcess[str]:
        """Run kubectl, whether it fails or not."""
        command: tuple[str | Path, ...] = (
            self.commands / "kubectl",
            "--kubeconfig",
            config,
            *words,
        )
        return run(*command, env=self.env, check=False)

    def kubeadm(self, *words: str | Path) -> str:
        """Run kubeadm as on a control plane, where /etc/kubernetes has admin.conf."""
        extra = self.cluster.parent / "etc"
        (extra / "kubernetes").mkdir(parents=True, exist_ok=True)
        shutil.copy(self.admin(), extra / "kubernetes/admin.conf")
        inside = 'mount -t overlay -o "lowerdir=$1:/etc" airseed /etc && shift && exec "$@"'
        return run(
            *("unshare", "--mount", "sh", "-c", inside, "sh", extra, self.commands / "kubeadm"),
            *words,
            env=self.env,
        ).stdout


def write_cluster(folder: Path, pki: str) -> Path:
    folder.mkdir()
    cluster = folder / "cluster.yaml"
    cluster.write_text(
        f"kubernetes: {VERSION}\npki: {pki}\n"
        "nodes: [{name: n1, role: control-plane, address: 10.0.0.1}]\n"
    )
    return cluster


def write_kubeadm(cluster: Path, pki: Path) -> Path:
    """Write what a seed would have for the first node, as far as these phases read it."""
    folder = paths.secrets(cluster)
    token, key = ((folder / name).read_text().strip() for name in ("token", "certificate-key"))
    documents = (
        {
            "apiVersion": "kubeadm.k8s.io/v1beta2",
            "kind": "InitConfiguration",
            "bootstrapTokens": [{"token": token, "ttl": "24h0m0s"}],
            "certificateKey": key,
            "localAPIEndpoint": {"advertiseAddress": "10.0.0.1"},
            "nodeRegistration": {"name": "n1", "criSocket": "/var/run/dockershim.sock"},
        },
        {
            "apiVersion": "kubeadm.k8s.io/v1beta2",
            "kind": "ClusterConfiguration",
            "kubernetesVersion": f"v{VERSION}",
            "certificatesDir": str(pki),
            "apiServer": {"certSANs": ["127.0.0.1"]},
        },
    )
    path = folder / "kubeadm.yaml"
    path.touch(0o600)
    path.write_text("\n---\n".join(map(json.dumps, documents)))
    return path


@contextmanager
def plane(cluster: Path, commands: Path) -> Iterator[Plane]:
    """Let kubeadm make the certificates from a cluster's CA; start etcd and kube-apiserver."""
    folder = cluster.parent
    env = environment(folder, PATH=f"{commands}:/usr/sbin:/usr/bin:/sbin:/bin")
    assert shutil.which("etcd", path=env["PATH"]), "etcd is not installed: tests/interop/setup.sh"
    result = secrets.make(Workspace(cluster))
    pki = folder / "pki"
    pki.mkdir()
    source = next(one.path for one in result.states if one.name == "cluster CA")
    assert source is not None
    for name in BROUGHT:
        if (source.parent / name).exists():
            (pki / name).parent.mkdir(exist_ok=True)
            shutil.copy(source.parent / name, pki / name)
    output = run(
        commands / "kubeadm",
        *("init", "phase", "certs", "all", "--config", write_kubeadm(cluster, pki)),
        env=env,
    ).stdout
    assert "Using existing ca certificate authority" in output
    etcd, peers, port = free_port(), free_port(), free_port()
    store = daemon(
        *("etcd", "--data-dir", folder / "etcd", "--listen-peer-urls", f"http://127.0.0.1:{peers}"),
        *("--listen-client-urls", f"http://127.0.0.1:{etcd}"),
        *("--advertise-client-urls", f"http://127.0.0.1:{etcd}"),
        env=env,
        log=folder / "etcd.log",
        ready=lambda: listens(etcd),
    )
    server = daemon(
        *("kube-apiserver", "--bind-address=127.0.0.1", f"--secure-port={port}"),
        *("--insecure-port=0", f"--etcd-servers=http://127.0.0.1:{etcd}"),
        *("--authorization-mode=Node,RBAC", "--service-cluster-ip-range=10.96.0.0/12"),
        f"--client-ca-file={pki}/ca.crt",
        f"--tls-cert-file={pki}/apiserver.crt",
        f"--tls-private-key-file={pki}/apiserver.key",
        f"--service-account-key-file={pki}/sa.pub",
        "--enable-bootstrap-token-auth",
        env=env,
        log=folder / "apiserver.log",
        ready=lambda: _ready(port, pki / "ca.crt"),
    )
    with store, server:
        yield Plane(
            cluster=cluster, server=f"127.0.0.1:{port}", pki=pki, commands=commands, env=env
        )


def _ready(port: int, authority: Path) -> bool:
    """Ask as anybody may."""
    context = ssl.create_default_context(cafile=authority)
    connection = HTTPSConnection("127.0.0.1", port, timeout=5, context=context)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


@pytest.fixture(scope="module", params=["generated", "files"])
def running(
    request: pytest.FixtureRequest, kubernetes: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Plane]:
    """Run a cluster with a CA of ours, and one with what a kubeadm of that time made."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "generated":
        cluster = write_cluster(folder / "site", "generated")
    else:
        cluster = write_cluster(folder / "site", "{files: brought}")
        config = folder / "old.json"
        config.write_text(
            json.dumps(
                {
                    "apiVersion": "kubeadm.k8s.io/v1beta2",
                    "kind": "ClusterConfiguration",
                    "kubernetesVersion": f"v{VERSION}",
                    "certificatesDir": str(cluster.parent / "brought"),
                }
            )
        )
        for name in ("ca", "etcd-ca", "front-proxy-ca", "sa"):
            run(
                kubernetes / "kubeadm",
                *("init", "phase", "certs", name),
                *(() if name == "sa" else ("--config", config)),
                *(("--cert-dir", cluster.parent / "brought") if name == "sa" else ()),
                env=environment(folder),
            )
    with plane(cluster, kubernetes) as up:
        yield up


def test_an_administrator_may_do_everything(running: Plane) -> None:
    admin = running.admin()
    listed = running.kubectl(admin, "get", "namespaces", "-o", "name")
    assert "namespace/kube-system\n" in listed.stdout
    assert running.kubectl(admin, "auth", "can-i", "*", "*").stdout.endswith("yes\n")
    assert running.kubectl(admin, "create", "namespace", "made-offline").returncode == 0
    version = json.loads(running.kubectl(admin, "version", "-o", "json").stdout)
    assert version["serverVersion"]["gitVersion"] == f"v{VERSION}"


def test_others_are_who_the_certificate_says(running: Plane, tmp_path: Path) -> None:
    kubeconfig.mint(
        Workspace(running.cluster),
        tmp_path / "jane.conf",
        user="jane",
        groups=["developers", "ops"],
        server=running.server,
    )
    refused = running.kubectl(tmp_path / "jane.conf", "get", "secrets", "-n", "kube-system")
    assert refused.returncode == 1
    assert 'User "jane" cannot list resource "secrets"' in refused.stdout
    admin = running.admin()
    for words in (
        ("clusterrole", "lister", "--verb=list", "--resource=configmaps"),
        ("clusterrolebinding", "ops", "--clusterrole=lister", "--group=ops"),
    ):
        assert running.kubectl(admin, "create", *words).returncode == 0
    listed = running.kubectl(tmp_path / "jane.conf", "get", "configmaps", "-n", "kube-system")
    assert listed.returncode == 0, listed.stdout
    assert running.kubectl(tmp_path / "jane.conf", "auth", "can-i", "create", "pods").returncode


def test_another_authority_lets_nobody_in(running: Plane, tmp_path: Path) -> None:
    """A stranger neither trusts this server nor is trusted by it."""
    other = write_cluster(tmp_path / "other", "generated")
    secrets.make(Workspace(other))
    stranger = kubeconfig.mint(Workspace(other), server=running.server).path
    assert stranger is not None
    distrusting = running.kubectl(stranger, "get", "namespaces")
    assert distrusting.returncode == 1
    assert "certificate signed by unknown authority" in distrusting.stdout
    document = stranger.read_text().splitlines(keepends=True)
    own = running.admin().read_text().splitlines(keepends=True)
    trusted = [line for line in own if "certificate-authority-data" in line]
    mixed = tmp_path / "mixed.conf"
    mixed.write_text(
        "".join(trusted[0] if "certificate-authority-data" in line else line for line in document)
    )
    refused = running.kubectl(mixed, "get", "namespaces")
    assert refused.returncode == 1
    assert "You must be logged in to the server (Unauthorized)" in refused.stdout


def decrypted(data: dict[str, Any], name: str, key: str) -> bytes:
    """Open what kubeadm uploaded: AES-GCM, the nonce first."""
    sealed = base64.b64decode(data[name])
    return AESGCM(bytes.fromhex(key)).decrypt(sealed[:12], sealed[12:], None)


def test_what_was_rotated_reaches_a_living_cluster(running: Plane, tmp_path: Path) -> None:
    """Both commands that ``secrets --rotate`` names work, and print nothing secret."""
    secrets.make(Workspace(running.cluster), rotate=["token", "certificate-key"])
    folder = paths.secrets(running.cluster)
    token, key = ((folder / name).read_text().strip() for name in ("token", "certificate-key"))
    config = write_kubeadm(running.cluster, running.pki)
    admin = running.admin()
    running.kubeadm("token", "create", "--config", config)
    output = running.kubeadm(
        *("init", "phase", "upload-certs", "--upload-certs", "--skip-certificate-key-print"),
        *("--config", config),
    )
    assert key not in output
    shown = running.kubectl(
        admin, "get", "secret", "kubeadm-certs", "-n", "kube-system", "-o", "json"
    )
    uploaded = json.loads(shown.stdout)["data"]
    for name in ("ca.key", "sa.key", "front-proxy-ca.key", "etcd/ca.key"):
        opened = decrypted(uploaded, name.replace("/", "-"), key)
        assert opened == (running.pki / name).read_bytes()
    bearer = tmp_path / "bearer.conf"
    lines = admin.read_text().splitlines(keepends=True)
    bearer.write_text(
        "".join(
            line if "client-" not in line else f"    token: {token}\n" * ("-key-" in line)
            for line in lines
        )
    )
    bearer.chmod(0o600)
    known = running.kubectl(bearer, "get", "nodes")
    assert f'User "system:bootstrap:{token[:6]}" cannot list resource "nodes"' in known.stdout


def test_the_hash_is_the_one_kubeadm_prints(running: Plane) -> None:
    result = secrets.make(Workspace(running.cluster))
    assert result.digest == openssl.pin(running.pki / "ca.crt")
    output = running.kubeadm("token", "create", "--print-join-command")
    assert f"--discovery-token-ca-cert-hash {result.digest}" in output

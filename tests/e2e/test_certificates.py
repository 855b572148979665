"""Settings and certificates of machines that run, and certificates that have ended.

The clock of a machine here is the host's, and Go asks the kernel for it, so nobody can move it.
What counts is that certificates have ended: so all of them are signed again, with the same keys,
names and authorities, and an end that is an hour ago, while the machines are off.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import re
import time
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from e2e import changes, watch
from e2e.cluster import Cluster, only, separate
from e2e.power_cuts import await_moment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from e2e.machine import Machine
    from e2e.root_image import RootImage
    from e2e.upstream import Upstream

pytestmark = pytest.mark.e2e

SIZES = {"two": ["k8s01", "k8s04"], "five": ["k8s01", "k8s02", "k8s03", "k8s04", "k8s05"]}
"""With one control plane nobody answers while it restarts; with three, etcd needs two of them."""
PODS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
NAME = "api.example.org"
PORTS = {"apiserver": 6443, "etcd/server": 2379, "etcd/peer": 2380}
ENDED = re.compile(r"client certificate( in \S+)? is expired")
"""What kubelet says of its own, and of no other."""
_AUTHORITIES = {"front-proxy-client": "front-proxy-ca"}


@pytest.fixture(scope="module", params=SIZES)
def stands(
    request: pytest.FixtureRequest,
    workdir: Path,
    upstream: Upstream,
    image: RootImage,
    conntrack: None,
) -> Iterator[Cluster]:
    """Hold the cluster of the walkthrough, or a part of it, whose first day is over."""
    with separate(workdir / f"certificates-{request.param}", upstream, image) as cluster:
        cluster.stand(only(*SIZES[request.param]))
        yield cluster


def _planes(cluster: Cluster) -> list[str]:
    nodes = cluster.document["nodes"]
    return [node["name"] for node in nodes if node["role"] == "control-plane"]


def _edit(document: dict[str, Any]) -> None:
    kubeadm = document["kubeadm"]
    own = kubeadm["ClusterConfiguration"]
    own["apiServer"]["certSANs"].append(NAME)
    own["scheduler"]["extraArgs"]["v"] = "3"
    kubeadm.setdefault("KubeletConfiguration", {})["maxPods"] = 55


def _change(cluster: Cluster, *words: str) -> None:
    """Write a change, start it on all machines at the same moment, and see it through."""
    catalog = ("--catalog", str(cluster.upstream.catalog))
    print(cluster.airseed("changes", *catalog, *words, "--write", code=5))
    change = changes.folder(cluster)
    changes.go_through(cluster, change)
    changes.collect(cluster, change)
    assert f"{change.name} is through: recorded" in cluster.airseed("changes", *catalog)


def _containers(machine: Machine) -> dict[str, str]:
    """Return the IDs of the control plane's containers, by name."""
    text = machine.sh("docker", "ps", "--format", "{{.Names}} {{.ID}}").stdout
    pairs = (line.split() for line in text.splitlines())
    named = {name.split("_")[1]: container for name, container in pairs if name.count("_") > 1}
    return {pod: named[pod] for pod in PODS}


def _shown(machine: Machine, port: int) -> x509.Certificate:
    """Return what a server of a machine shows."""
    text = machine.sh(
        "bash",
        "-c",
        f"openssl s_client -connect {machine.address}:{port} </dev/null 2>/dev/null || true",
    ).stdout
    found = re.search(r"-----BEGIN.*?-----END CERTIFICATE-----\n", text, re.DOTALL)
    assert found, f"{machine.name}:{port} shows no certificate"
    return x509.load_pem_x509_certificate(found[0].encode())


def _client(machine: Machine) -> x509.Certificate:
    text = machine.sh("cat", "/var/lib/kubelet/pki/kubelet-client-current.pem").stdout
    return x509.load_pem_x509_certificate(text.encode())


def _is_well(cluster: Cluster) -> None:
    names = cluster.names
    await_moment(lambda: sorted(cluster.ready()) == names, "all nodes to be Ready", patience=300)
    assert cluster.etcd_members() == _planes(cluster)
    cluster.wait_for_pods()


def test_a_new_name_is_served_by_all_api_servers(stands: Cluster) -> None:
    before = {name: _containers(stands.machine(name)) for name in _planes(stands)}
    changes.edit(stands, _edit)
    with watch.watched(stands, _planes(stands), []) as seen:
        _change(stands)
    print(f"\nsettings:\n{seen}")
    for name in _planes(stands):
        certificate = _shown(stands.machine(name), 6443)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        assert NAME in names.value.get_values_for_type(x509.DNSName)
        after = _containers(stands.machine(name))
        same = {pod for pod, one in after.items() if one == before[name][pod]}
        assert same == {"etcd", "kube-apiserver", "kube-controller-manager"}
    nodes = json.loads(stands.kubectl("get", "nodes", "-o", "json"))["items"]
    assert {node["status"]["capacity"]["pods"] for node in nodes} == {"55"}
    kept = stands.kubectl("-n", "kube-system", "get", "configmap", "kubeadm-config", "-o", "yaml")
    assert NAME in kept
    _is_well(stands)


def test_certificates_are_renewed_one_after_another(stands: Cluster) -> None:
    before = {
        (name, port): _shown(stands.machine(name), port).serial_number
        for name in _planes(stands)
        for port in PORTS.values()
    }
    clients = {name: _client(stands.machine(name)) for name in stands.names}
    # kubeadm signs the first one's for a year, the walkthrough's clusters those of others for ten
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(days=400)
    due = {name for name, client in clients.items() if client.not_valid_after_utc < soon}
    assert "k8s01" in due
    began = time.time()
    with watch.watched(stands, _planes(stands), []) as seen:
        _change(stands, "--renew", "400")
    print(f"\nrenewal: {time.time() - began:.0f} s\n{seen}")
    for (name, port), serial in before.items():
        assert _shown(stands.machine(name), port).serial_number != serial
    now = {name: _client(stands.machine(name)).serial_number for name in stands.names}
    assert {name for name, serial in now.items() if serial != clients[name].serial_number} == due
    _is_well(stands)
    results = [
        str(stands.machine(name).root / "var/lib/airseed/result.json") for name in stands.names
    ]
    rows = json.loads(stands.airseed("status", *results, "--json"))
    for row in rows:
        ends = {
            path: end for path, end in row["certificates"].items() if not path.endswith("ca.crt")
        }
        assert ends
        assert min(ends.values()) > began + 360 * 86400


def _ended(certificate: x509.Certificate, folder: Path, authority: str) -> bytes:
    """Sign a certificate again, with an end that is past."""
    signer = x509.load_pem_x509_certificate((folder / f"{authority}.crt").read_bytes())
    key = serialization.load_pem_private_key((folder / f"{authority}.key").read_bytes(), None)
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(certificate.subject)
        .issuer_name(signer.subject)
        .public_key(certificate.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=365))
        .not_valid_after(now - dt.timedelta(hours=1))
    )
    for extension in certificate.extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    signed = builder.sign(key, hashes.SHA256())  # type: ignore[arg-type]
    return signed.public_bytes(serialization.Encoding.PEM)


def _let_end(machine: Machine, signers: Path) -> None:
    """Let all certificates of a machine that is off have ended."""
    folder = machine.root / "etc/kubernetes"
    for path in sorted((folder / "pki").rglob("*.crt")):
        if path.stem == "ca" or path.stem.endswith("-ca"):
            continue
        own = path.relative_to(folder / "pki")
        authority = "etcd/ca" if own.parts[0] == "etcd" or "etcd" in own.stem else "ca"
        authority = _AUTHORITIES.get(own.stem, authority)
        old = x509.load_pem_x509_certificate(path.read_bytes())
        path.write_bytes(_ended(old, signers, authority))
    for path in folder.glob("*.conf"):
        text = path.read_text("utf-8")
        if not (found := re.search(r"client-certificate-data: (\S+)", text)):
            continue
        old = x509.load_pem_x509_certificate(base64.b64decode(found[1]))
        new = base64.b64encode(_ended(old, signers, "ca")).decode()
        path.write_text(text.replace(found[1], new), "utf-8")
    client = machine.folder / "kubelet" / "pki" / "kubelet-client-current.pem"
    own = client.parent / client.readlink().name
    text = own.read_text("utf-8")
    key = text[text.index("-----BEGIN", text.index("END CERTIFICATE")) :]
    old = x509.load_pem_x509_certificate(text.encode())
    own.write_text(_ended(old, signers, "ca").decode() + key, "utf-8")


# kubeadm's own authorities have the number 0
@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_a_cluster_whose_certificates_have_ended_comes_back(stands: Cluster) -> None:
    signers = stands.machine("k8s01").root / "etc/kubernetes/pki"
    for name in stands.names:
        stands.machine(name).power_off()
    for name in stands.names:
        _let_end(stands.machine(name), signers)
    for name in stands.names:
        stands.machine(name).start()
    first = stands.machine("k8s01")
    await_moment(
        lambda: bool(ENDED.search(first.sh("journalctl", "-u", "kubelet", check=False).stdout)),
        "kubelet to say that its certificate has ended",
        patience=180,
    )
    asked = first.sh("kubectl", "--request-timeout=10s", "get", "nodes", check=False)
    assert asked.returncode != 0
    print(f"\nthe cluster is down: {asked.stdout[-300:]}")
    began = time.time()
    _change(stands, "--renew", "30")
    print(f"\nrepair, all five at once: {time.time() - began:.0f} s")
    _is_well(stands)
    now = dt.datetime.now(dt.UTC)
    for name in _planes(stands):
        for port in PORTS.values():
            assert _shown(stands.machine(name), port).not_valid_after_utc > now
    for name in stands.names:
        assert _client(stands.machine(name)).not_valid_after_utc > now
        kept = stands.machine(name).root / "etc/kubernetes/bootstrap-kubelet.conf"
        assert not kept.exists()

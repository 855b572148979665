"""One machine whose RPMs of Kubernetes no repository has: airseed built and signed them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from e2e import program_server

from builder.formats import lock as lock_format

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from e2e.cluster import Cluster
    from e2e.upstream import Upstream

    Maker = Callable[..., AbstractContextManager[Cluster]]

pytestmark = pytest.mark.e2e


def test_one_machine_installs_packages_that_were_built(
    make_cluster: Maker, upstream: Upstream, workdir: Path
) -> None:
    def change(document: dict[str, Any]) -> None:
        document["kubernetes"] = {"version": document["kubernetes"], "packages": "built"}

    with (
        make_cluster("single-built") as cluster,
        program_server.programs(workdir / "dl", upstream.catalog),
    ):
        cluster.describe("single", change)
        cluster.airseed("secrets")  # what is built is signed with a key of theirs
        cluster.prepare()
        lock = lock_format.read(cluster.folder / "cluster.lock")
        built = {package.nevra.name: package for package in lock.packages if package.built}
        assert set(built) == {"kubeadm", "kubelet", "kubectl", "kubernetes-cni", "cri-tools"}
        began = cluster.start()
        cluster.wait()
        cluster.wait_for_pods()
        print(f"\nsingle, docker, built packages:\n{cluster.report(began)}")
        (name,) = cluster.names
        node = json.loads(cluster.kubectl("get", "node", name, "-o", "json"))
        assert node["status"]["nodeInfo"]["kubeletVersion"] == "v1.18.5"
        machine = cluster.machine(name)
        there = machine.sh("rpm", "-q", *built).stdout.split()
        assert {*there} == {str(package.nevra) for package in built.values()}
        # the first boot asks for signatures, and this key alone made them
        (key,) = {fingerprint for package in built.values() for fingerprint in package.keys}
        signed = machine.sh("rpm", "-q", "--qf", "%{RSAHEADER:pgpsig}\n", *built).stdout
        assert [line.rpartition(" ")[2] for line in signed.splitlines()] == [
            key[-16:].lower()
        ] * len(built)
        # kubeadm and the network plugin may change what lies below /etc and /opt
        changed = machine.sh("rpm", "-V", *built, check=False).stdout
        assert [line for line in changed.splitlines() if " /usr/" in line] == []
        drop_in = "/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf"
        assert drop_in in machine.sh("systemctl", "cat", "kubelet.service").stdout
        pid = machine.sh("systemctl", "show", "-p", "MainPID", "--value", "kubelet").stdout.strip()
        words = machine.sh("bash", "-c", f"tr '\\0' ' ' < /proc/{pid}/cmdline").stdout
        assert words.startswith("/usr/bin/kubelet --bootstrap-kubeconfig=/etc/kubernetes/")
        assert "--config=/var/lib/kubelet/config.yaml" in words
        assert cluster.etcd_members() == [name]

"""Two families as kubeadm's documents ask for them, in the hands of a real control plane."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import plans
import pytest
import yaml
from interop.real_plane import ONE, etcd, plane, prepared, programs

from builder.render import kubeadm

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

pytestmark = pytest.mark.interop
VERSIONS = ("1.19.5", "1.20.15", "1.23.17")
"""The first alpha, its rework with the API of today, and stable."""
POLICIES = ("1.20.15", "1.23.17")
BOTH = (
    ONE.replace("10.244.0.0/16", "[10.244.0.0/16, fd00:1::/48]")
    .replace("10.96.0.0/16", "[10.96.0.0/16, fd00:2::/112]")
    .replace("10.0.0.1}", "[10.0.0.1, fd00::1]}")
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[int]:
    """Run an etcd that outlives its API servers."""
    with etcd(tmp_path) as port:
        yield port


def families(addresses: Sequence[str]) -> list[int]:
    return [6 if ":" in address else 4 for address in addresses]


@pytest.mark.parametrize("version", VERSIONS)
def test_nodes_and_services_get_both_families(version: str, tmp_path: Path, store: int) -> None:
    made = prepared(version, BOTH, tmp_path / "dual")
    with plane(version, made, store) as cluster:
        assert families(cluster.node("a")) == [4, 6]
        if version in POLICIES:
            assert families(cluster.service("both", ipFamilyPolicy="RequireDualStack")) == [4, 6]
        else:
            assert families(cluster.service("six", ipFamily="IPv6")) == [6]
        assert families(cluster.service("plain")) == [4]


@pytest.mark.parametrize("version", VERSIONS)
def test_kube_proxy_reads_its_configuration(version: str, tmp_path: Path) -> None:
    """It writes out what it has read, and would end at a field or a gate that it does not know."""
    plan = plans.plan(BOTH.replace("1.18.5", version))
    document: Any = kubeadm.documents(plan, plan.first)[2]
    file, out = tmp_path / "proxy.yaml", tmp_path / "read.yaml"
    file.write_text(json.dumps(document), "utf-8")
    done = subprocess.run(
        [programs(version) / "kube-proxy", f"--config={file}", f"--write-config-to={out}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "lenient" not in done.stderr, done.stderr
    read = yaml.safe_load(out.read_text("utf-8"))
    assert read["clusterCIDR"] == "10.244.0.0/16,fd00:1::/48"
    assert (read.get("featureGates") or {}) == document.get("featureGates", {})


def test_a_node_has_its_ranges_for_life(tmp_path: Path, store: int) -> None:
    """Why a cluster that runs gets no second family, where dual-stack is stable, too."""
    version = "1.23.17"
    with plane(version, prepared(version, ONE, tmp_path / "one"), store) as cluster:
        ranges = cluster.node("a")
        assert families(ranges) == [4]
        assert families(cluster.service("old")) == [4]
    made = prepared(version, BOTH, tmp_path / "dual")
    for name in ("pki", "admin.conf", "controller-manager.conf"):
        before = tmp_path / "one/kept/kubernetes" / name
        subprocess.run(
            ["cp", "-aT", before, made.folder / "kubernetes" / name], check=True
        )  # the same authority
    with plane(version, made, store) as cluster:
        # Services and new nodes have both
        assert families(cluster.service("new", ipFamilyPolicy="RequireDualStack")) == [4, 6]
        assert families(cluster.node("b")) == [4, 6]
        # one that is there keeps what it has, and nobody may give it more
        assert cluster.get("node", "a")["podCIDRs"] == ranges
        more = {"spec": {"podCIDRs": [*ranges, "fd00:1:0:99::/64"]}}
        said = cluster.ask("patch", "node", "a", "-p", json.dumps(more), fails=True)
        assert "node updates may not change podCIDR except from" in said or "may only" in said, said

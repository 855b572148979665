"""What nodes may do in a change, and after it, by what a real API server says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from interop.real_plane import ONE, Plane, etcd, plane, prepared

from builder import assets

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.interop
LIBRARY = assets.tree("cloudinit-templates") / "node/lib/rights.sh"
NODE = ("--as=system:node:b", "--as-group=system:nodes", "--as-group=system:authenticated")
ACCOUNT = ("--as=system:serviceaccount:airseed:change",)
_LARGE = 300_000
"""Bytes that are more than an annotation may have."""


def may(cluster: Plane, who: tuple[str, ...], *words: str) -> bool:
    said = cluster.say("auth", "can-i", *words, *who).split()[0]
    assert said in {"yes", "no"}
    return said == "yes"


@pytest.mark.parametrize("version", ["1.19.5", "1.23.17"])
def test_nodes_may_do_so_much_in_a_change_and_nothing_after_it(
    version: str, tmp_path: Path
) -> None:
    (opened,) = re.findall(r"<<YAML\n(.*?)\nYAML\n", LIBRARY.read_text("utf-8"), re.DOTALL)
    made = prepared(version, ONE, tmp_path / "one")
    with etcd(tmp_path) as store, plane(version, made, store) as cluster:
        cluster.ask("create", "namespace", "airseed")
        cluster.ask("apply", "-f", "-", text=opened)
        impersonate = ("impersonate", "serviceaccounts/change", "-n", "airseed")
        leases = [(verb, "leases.coordination.k8s.io") for verb in ("list", "create", "delete")]
        reads = [
            (verb, kind, "--all-namespaces")
            for kind in ("daemonsets.apps", "poddisruptionbudgets.policy")
            for verb in ("get", "list")
        ]
        for words in (impersonate, *reads):
            assert may(cluster, NODE, *words), words
        for words in leases:
            assert may(cluster, ACCOUNT, *words, "-n", "airseed"), words
            assert not may(cluster, ACCOUNT, *words, "-n", "kube-system"), words
        forbidden = [
            ("impersonate", "serviceaccounts/default", "-n", "airseed"),
            ("impersonate", "serviceaccounts/default", "-n", "kube-system"),
            ("impersonate", "users"),
            ("delete", "daemonsets.apps", "-n", "kube-system"),
            ("list", "secrets", "--all-namespaces"),
            ("delete", "clusterrolebindings/cluster-admin"),
            ("create", "clusterrolebindings"),
            ("update", "clusterroles/airseed:change"),
        ]
        for who in (NODE, ACCOUNT):
            assert [words for words in forbidden if may(cluster, who, *words)] == []
        shut = ("clusterrolebinding", "airseed:change"), ("rolebinding", "change-nodes")
        for kind, name in shut:
            space = ("-n", "airseed") if kind == "rolebinding" else ()
            cluster.ask("delete", kind, name, *space, "--wait=false", *ACCOUNT)
        for words in (impersonate, *reads):
            assert not may(cluster, NODE, *words), words


def test_definitions_of_an_earlier_release_are_brought_up_to_date(tmp_path: Path) -> None:
    """Larger than an annotation, "apply" takes none of them; see the step addons."""
    version = "1.23.17"
    definition = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: things.example.com}}
spec:
  group: example.com
  scope: Cluster
  names: {{plural: things, kind: Thing}}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        description: "{0}"
        properties: {{spec: {{type: object, properties: {{ {1}: {{type: string}} }}}}}}
"""
    early, late = (definition.format("x" * _LARGE, name) for name in ("early", "late"))
    made = prepared(version, ONE, tmp_path / "one")
    with etcd(tmp_path) as store, plane(version, made, store) as cluster:
        said = cluster.ask("apply", "-f", "-", text=early, fails=True)
        assert "annotations: Too long" in said
        cluster.ask("create", "-f", "-", text=early)
        cluster.ask("apply", "--server-side", "--force-conflicts", "-f", "-", text=late)
        schema = cluster.get("crd", "things.example.com")["versions"][0]["schema"]
        assert "late" in schema["openAPIV3Schema"]["properties"]["spec"]["properties"]

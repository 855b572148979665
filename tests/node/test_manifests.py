"""Manifests are made the cluster's own: images by the seed's edits, the pod networks set."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from builder import assets
from builder.formats import manifest_edits, manifests
from builder.model.image_names import ImageNames

if TYPE_CHECKING:
    from conftest import Machine

LAB = Path(assets.__file__).parent / "lab/data/manifests"
UPSTREAM = Path(__file__).parents[3] / "shared/upstream/calico"
REAL = sorted(UPSTREAM.glob("*/*.yaml"))
REGISTRY = "registry.lan:5000/k8s"
POOL = "10.222.0.0/18"


def made_up(name: str) -> str:
    """Return one of the lab's manifests, as the lab fills it in."""
    text = (LAB / name).read_text()
    for mark, value in (
        ("$registry", "docker.io/calico"),
        ("$version", "v3.18.6"),
        ("$operator", "quay.io/tigera/operator:v1.15.7"),
    ):
        text = text.replace(mark, value)
    return text


def started(text: str) -> tuple[manifests.StartedImage, ...]:
    return manifests.read(text, "m.yaml").images


def localise(
    machine: Machine,
    text: str,
    cni: str,
    *,
    pods: str = POOL,
    registry: str = REGISTRY,
    reach: str = "",
) -> str:
    """Rewrite a manifest by the edits of a seed that has edits of others, too."""
    content = text.encode()
    targets = ImageNames(registry).table(image.reference for image in started(text))
    own = manifest_edits.render(content, "m.yaml", targets, complete=bool(registry))
    others = [f"manifest {digit * 64} {digit * 64}\n1 1 {digit}\n" for digit in "ab"]
    machine.write("etc/airseed/manifests.edits", own.join(others) if own else "")
    (machine.root / "var/lib/airseed").mkdir(parents=True, exist_ok=True)
    file = machine.write("manifest.yaml", text)
    machine.set(CNI=cni, POD_SUBNETS=pods, REGISTRY=registry, CNI_REACH=reach)
    ran = machine.source(f'localise "{file}"', "manifests")
    assert ran.returncode == 0, ran.stdout[-2000:]
    assert [*(machine.root / "var/lib/airseed").glob("*.yaml")] == []
    if cni == "none" and registry:
        edits = manifest_edits.edits(content, "m.yaml", targets)
        assert ran.stdout == manifest_edits.applied(content, edits).decode()
    return ran.stdout


@pytest.mark.parametrize("name", sorted(path.name for path in LAB.iterdir()))
def test_images_of_the_labs_manifests(machine: Machine, name: str) -> None:
    made = localise(machine, made_up(name), "none")
    assert all(image.text.startswith(f"{REGISTRY}/") for image in started(made))


SPELLED = """# ü
kind: Pod
spec:
  containers:
  - image: &a nginx:1.25
  - {image: *a}
  - {"image": "docker.io/library/nginx:1.25"}
  - image: >-
      nginx:1.25
  - 'image': 'b/c:2'
---
{"kind": "Pod",	"spec": {"containers": [{"image": "b\\/c:2", "args": ["100%s \\\\n"]}]}}
"""


def test_the_node_applies_exactly_what_was_made_of_the_documents(machine: Machine) -> None:
    made = localise(machine, SPELLED, "none")
    nginx, other = f"{REGISTRY}/library/nginx:1.25", f"{REGISTRY}/b/c:2"
    assert [image.text for image in started(made)] == [
        *[nginx] * 4,
        other,
        other,
    ]
    assert localise(machine, "kind: Namespace\n", "none") == "kind: Namespace\n"
    assert localise(machine, SPELLED, "none", registry="") == SPELLED
    pinned = SPELLED.replace("b/c:2", f"b/c:2@sha256:{'0' * 64}")
    made = localise(machine, pinned, "none", registry="")
    assert [image.text for image in started(made)][-2:] == [
        "docker.io/b/c:2",
        "b/c:2",
    ]
    big = f"{SPELLED}---\n{'# ' * 300_000}\n{SPELLED}"
    assert len(started(localise(machine, big, "none"))) == 12


def test_a_manifest_that_the_seed_does_not_know_is_not_applied(machine: Machine) -> None:
    text = "kind: Pod\nspec: {containers: [{image: nginx}]}\n"
    localise(machine, text, "none")
    file = machine.write("manifest.yaml", text.replace("nginx", "other"))
    ran = machine.source(f'localise "{file}" || echo refused', "manifests")
    assert ran.stdout == "refused\n"
    edits = machine.root / "etc/airseed/manifests.edits"
    edits.write_text(edits.read_text().replace("library/nginx", "library/other"))
    file = machine.write("manifest.yaml", text)
    ran = machine.source(f'localise "{file}" || echo refused', "manifests")
    assert ran.stdout == "refused\n"


@pytest.mark.skipif(not REAL, reason="no manifests of Calico beside this checkout")
@pytest.mark.parametrize("path", REAL, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_calicos_manifests_become(machine: Machine, path: Path) -> None:
    """By digest: of each, with pods of IPv4 alone and with both families."""
    cni = "calico-manifest" if path.name.startswith("calico") else "calico-operator"
    made = [
        hashlib.sha256(localise(machine, path.read_text(), cni, pods=pods).encode()).hexdigest()
        for pods in (POOL, f"{POOL} fd00::/48")
    ]
    expected = json.loads((Path(__file__).parent / "data/calico.json").read_bytes())
    assert made == expected[f"{path.parent.name}/{path.name}"]


def installation(text: str) -> Any:
    (found,) = [one for one in yaml.safe_load_all(text) if one["kind"] == "Installation"]
    return found["spec"]


@pytest.mark.parametrize(
    "path",
    [folder / "custom-resources.yaml" for folder in (LAB, *sorted({one.parent for one in REAL}))],
    ids=str,
)
def test_the_operators_pools(machine: Machine, path: Path) -> None:
    made = localise(machine, path.read_text(), "calico-operator")
    spec = installation(made)
    assert [pool["cidr"] for pool in spec["calicoNetwork"]["ipPools"]] == [POOL]
    assert spec["registry"] == f"{REGISTRY}/"
    made = localise(machine, path.read_text(), "calico-operator", pods=f"{POOL} fd00::/48")
    four, six = installation(made)["calicoNetwork"]["ipPools"]
    assert (four["cidr"], four["blockSize"], four["encapsulation"]) == (
        POOL,
        26,
        "VXLANCrossSubnet",
    )
    assert (six["cidr"], six["blockSize"], six["encapsulation"]) == ("fd00::/48", 122, "None")
    assert four.get("name", "a") != six.get("name", "b")
    kinds = [one["kind"] for one in yaml.safe_load_all(made)]
    assert kinds == [one["kind"] for one in yaml.safe_load_all(path.read_text())]


@pytest.mark.parametrize(
    "path", [LAB / "calico.yaml", *(one for one in REAL if one.name.startswith("calico"))], ids=str
)
def test_the_plain_manifests_pools(machine: Machine, path: Path) -> None:
    text = made_up(path.name) if path.parent == LAB else path.read_text()
    for pods, expected in (
        (POOL, {"CALICO_IPV4POOL_CIDR": POOL}),
        (
            f"{POOL} fd00::/48",
            {
                "CALICO_IPV4POOL_CIDR": POOL,
                "CALICO_IPV6POOL_CIDR": "fd00::/48",
                "IP6": "autodetect",
            },
        ),
    ):
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        made = list(yaml.load_all(localise(machine, text, "calico-manifest", pods=pods), loader))
        (node,) = [
            one
            for one in made
            if one and one["kind"] == "DaemonSet" and one["metadata"]["name"] == "calico-node"
        ]
        variables = {
            one["name"]: one.get("value")
            for one in node["spec"]["template"]["spec"]["containers"][0]["env"]
        }
        assert {name: variables.get(name) for name in expected} == expected
        (configuration,) = [
            one["data"]["cni_network_config"]
            for one in made
            if one and one["kind"] == "ConfigMap" and "cni_network_config" in one["data"]
        ]
        assert ('"assign_ipv6": "true"' in configuration) == (":" in pods)


@pytest.mark.parametrize(
    "path",
    [
        LAB / "custom-resources.yaml",
        LAB / "calico.yaml",
        *(one for one in REAL if one.name in {"custom-resources.yaml", "calico.yaml"}),
    ],
    ids=str,
)
def test_of_several_cards_calico_takes_the_clusters(machine: Machine, path: Path) -> None:
    text = made_up(path.name) if path.parent == LAB else path.read_text()
    reach, pods = "10.0.0.1 fd00::1", f"{POOL} fd00::/48"
    if path.name == "custom-resources.yaml":
        made = localise(machine, text, "calico-operator", pods=pods, reach=reach)
        network = installation(made)["calicoNetwork"]
        assert network["nodeAddressAutodetectionV4"] == {"canReach": "10.0.0.1"}
        assert network["nodeAddressAutodetectionV6"] == {"canReach": "fd00::1"}
        assert len(network["ipPools"]) == 2
    else:
        made = localise(machine, text, "calico-manifest", pods=pods, reach=reach)
        (node,) = [
            one
            for one in yaml.load_all(made, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
            if one and one["kind"] == "DaemonSet" and one["metadata"]["name"] == "calico-node"
        ]
        variables = node["spec"]["template"]["spec"]["containers"][0]["env"]
        said = {one["name"]: one.get("value") for one in variables}
        assert said["IP_AUTODETECTION_METHOD"] == "can-reach=10.0.0.1"
        assert said["IP6_AUTODETECTION_METHOD"] == "can-reach=fd00::1"

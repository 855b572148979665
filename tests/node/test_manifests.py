"""Manifests are made the cluster's own: every image by images.map, the pod networks set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from builder import assets
from builder.formats.manifests import find_images

if TYPE_CHECKING:
    from conftest import Machine

LAB = Path(assets.__file__).parent / "lab/data/manifests"
UPSTREAM = Path(__file__).parents[3] / "shared/upstream/calico"
REAL = sorted(UPSTREAM.glob("*/*.yaml"))
REGISTRY = "registry.lan:5000/k8s"
POOL = "10.222.0.0/18"


def made_up(name: str) -> str:
    """Give one of the lab's manifests, as the lab fills it in."""
    text = (LAB / name).read_text()
    for mark, value in (
        ("$registry", "docker.io/calico"),
        ("$version", "v3.18.6"),
        ("$operator", "quay.io/tigera/operator:v1.15.7"),
    ):
        text = text.replace(mark, value)
    return text


def localise(
    machine: Machine, text: str, cni: str, *, pods: str = POOL, registry: str = REGISTRY
) -> str:
    """Rewrite a manifest with a map of all images that it starts."""
    lines = {
        f"{found.reference} {found.reference.mapped(registry or 'x')}\n"
        for found in find_images(text, "manifest")
    }
    if registry:
        machine.write("etc/airseed/images.map", "".join(sorted(lines)) or "a.b/c:1 d.e/c:1\n")
    file = machine.write("manifest.yaml", text)
    machine.set(CNI=cni, POD_SUBNETS=pods, REGISTRY=registry)
    ran = machine.source(f'localise "{file}"', "manifests")
    assert ran.returncode == 0, ran.stdout[-2000:]
    return ran.stdout


def without_images(value: Any) -> Any:
    """Take the images out of a document, to compare the rest."""
    if isinstance(value, dict):
        return {
            key: without_images(one)
            for key, one in value.items()
            if key != "image" or not isinstance(one, str)
        }
    return [without_images(one) for one in value] if isinstance(value, list) else value


def compare(machine: Machine, text: str) -> None:
    """Hold a rewritten manifest against the original."""
    made = localise(machine, text, "none")
    before = find_images(text, "manifest")
    after = find_images(made, "manifest")
    assert [str(one.reference) for one in after] == [
        one.reference.mapped(REGISTRY) for one in before
    ]
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    assert without_images(list(yaml.load_all(made, loader))) == without_images(
        list(yaml.load_all(text, loader))
    )


@pytest.mark.parametrize("name", sorted(path.name for path in LAB.iterdir()))
def test_images_of_the_labs_manifests(machine: Machine, name: str) -> None:
    compare(machine, made_up(name))


@pytest.mark.skipif(not REAL, reason="no manifests of Calico beside this checkout")
@pytest.mark.parametrize("path", REAL, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_images_of_real_manifests(machine: Machine, path: Path) -> None:
    compare(machine, path.read_text())


def test_every_spelling_of_an_image(machine: Machine) -> None:
    machine.write(
        "etc/airseed/images.map",
        "docker.io/library/nginx:1.25 r.lan/library/nginx:1.25\n"
        "docker.io/library/busybox:latest r.lan/library/busybox:latest\n"
        "docker.io/calico/node:v3 r.lan/calico/node:v3\n"
        f"quay.io/a/b@sha256:{'0' * 64} r.lan/a/b@sha256:{'0' * 64}\n",
    )
    text = f"""\
image: nginx:1.25
- image: "busybox"  # latest
  image: 'calico/node:v3'
{{"image": "docker.io/calico/node:v3", "x": 1}}
{{name: a, image: nginx:1.25}}, {{image: busybox, name: b}}
  image: quay.io/a/b@sha256:{"0" * 64}
  args: [--image=docker.io/calico/node:v3]
  image: r.lan/calico/node:v3
  description: 'an image: nginx is one'
  image:
    type: string
"""
    ran = machine.source(
        f"rewrite_images '{machine.root}/etc/airseed/images.map' strict <<'END'\n{text}END\n",
        "manifests",
    )
    assert ran.returncode == 0, ran.stdout
    assert (
        ran.stdout
        == f"""\
image: r.lan/library/nginx:1.25
- image: "r.lan/library/busybox:latest"  # latest
  image: 'r.lan/calico/node:v3'
{{"image": "r.lan/calico/node:v3", "x": 1}}
{{name: a, image: r.lan/library/nginx:1.25}}, {{image: r.lan/library/busybox:latest, name: b}}
  image: r.lan/a/b@sha256:{"0" * 64}
  args: [--image=r.lan/calico/node:v3]
  image: r.lan/calico/node:v3
  description: 'an image: nginx is one'
  image:
    type: string
"""
    )


def test_an_image_that_the_map_lacks_is_named(machine: Machine) -> None:
    machine.write("etc/airseed/images.map", "a.b/c:1 d.e/c:1\n")
    ran = machine.source(
        f"rewrite_images '{machine.root}/etc/airseed/images.map' strict <<<'  image: nginx:1'",
        "manifests",
    )
    assert (ran.returncode, sorted(ran.stdout.split("\n"))) == (
        1,
        ["", "  image: nginx:1", "nginx:1"],
    )


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

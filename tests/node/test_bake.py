"""What is baked into an image: held packages, an end to trying, and a seed that must fit it."""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from typing import TYPE_CHECKING

import pytest

from builder.assets import tree

if TYPE_CHECKING:
    from conftest import Machine  # type: ignore[import-not-found]

HELD = "kubelet docker-ce"
MAIN = "[main]\ngpgcheck=1\nexclude=foo, kubelet\n[updates]\nexclude=mine\n"
IMAGE = "AIRSEED_RUNTIME='docker'\nAIRSEED_HELD='kubelet docker-ce'\n"
RPM = """
[ "${*: -1}" != docker-ce ] || { echo 3:docker-ce-19.03.9-3.el7.*; exit 0; }
echo "0:${*: -1}-1.18.5-0.*"
"""


def hold(machine: Machine) -> str:
    machine.write("etc/airseed/image.env", IMAGE)
    machine.stand_in("rpm", RPM)
    ran = machine.run("run", "bake", "hold")
    assert ran.returncode == 0, ran.stdout
    log: str = (machine.state / "log/hold.log").read_text()
    return log


def test_packages_are_left_out_of_updates_beside_what_the_user_left_out(machine: Machine) -> None:
    file = machine.write("etc/yum.conf", MAIN)
    for _ in range(2):
        assert hold(machine) == "held: kubelet docker-ce\n"
        assert file.read_text() == (
            "[main]\ngpgcheck=1\nexclude=kubelet docker-ce foo\n[updates]\nexclude=mine\n"
        )


def test_with_the_plugin_their_versions_are_locked(machine: Machine) -> None:
    machine.write("etc/yum/pluginconf.d/versionlock.conf", "[main]\nenabled = 1\n")
    file = machine.write("etc/yum/pluginconf.d/versionlock.list", "0:mine-1-1.*\n")
    for _ in range(2):
        hold(machine)
        assert file.read_text() == (
            "0:mine-1-1.*\n"
            "0:kubelet-1.18.5-0.* # held by airseed\n"
            "3:docker-ce-19.03.9-3.el7.* # held by airseed\n"
        )
    assert not (machine.root / "etc/yum.conf").exists()
    # a change need not know of it: what was held is held in its new version
    text = (machine.root / "etc/airseed/image.env").read_text()
    machine.write("etc/airseed/image.env", re.sub("AIRSEED_HELD=.*", "AIRSEED_HELD=", text))
    assert machine.run("run", "bake", "hold").returncode == 0
    assert file.read_text().count("# held by airseed") == 2


@pytest.mark.parametrize("everything", ["", "1"])
def test_the_manifests_stay_or_all(machine: Machine, everything: str) -> None:
    """From a disk here; a first boot finds them before it looks elsewhere."""
    members = {name: f"{name}\n".encode() for name in ("images/x", "manifests/a.yaml")}
    members["cluster.lock"] = "".join(
        f'{{"digest": "sha256:{hashlib.sha256(text).hexdigest()}", "size": {len(text)}}}\n'
        for text in members.values()
    ).encode()
    sums = "".join(
        f"{hashlib.sha256(text).hexdigest()}  {name}\n" for name, text in members.items()
    )
    disk = machine.root / "dev/sdz"
    disk.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(disk, "w") as tar:
        magic = b"airseed offline bundle, format 1\n"
        for name, text in {"README.txt": magic, "SHA256SUMS": sums.encode(), **members}.items():
            one = tarfile.TarInfo(name)
            one.size = len(text)
            tar.addfile(one, io.BytesIO(text))
    (machine.root / "sys/class/block/sdz").mkdir(parents=True)
    digest = hashlib.sha256(sums.encode()).hexdigest()
    machine.write(
        "etc/airseed/image.env",
        f"{IMAGE}AIRSEED_KEEP='{everything}'\nAIRSEED_SUMS='{digest}'\nAIRSEED_MADE_BYTES='9999'\n",
    )
    ran = machine.run("run", "bake", "keep")
    assert ran.returncode == 0, ran.stdout
    bundle = machine.root / "opt/airseed/bundle"
    kept = {str(path.relative_to(bundle)) for path in bundle.rglob("*") if path.is_file()}
    wanted = {"SHA256SUMS", "cluster.lock", "manifests/a.yaml"}
    assert kept == (wanted | {"images/x"} if everything else wanted)


def test_baking_ends_where_a_node_would_try_for_ever(machine: Machine) -> None:
    machine.write("etc/airseed/image.env", IMAGE)
    machine.stand_in("modprobe", "exit 1")
    machine.stand_in("sleep", "")
    ran = machine.run("run", "bake")
    assert ran.returncode == 1
    assert ran.stdout.count("airseed: step host failed") == 3
    assert (machine.result["state"], machine.result["retry_in"]) == ("failed", 0)


def test_a_seed_of_another_lock_is_refused_and_both_are_named(first: Machine) -> None:
    first.write("etc/airseed/image.env", f"AIRSEED_SUMS='{'a' * 64}'\nAIRSEED_IMAGES='worker'\n")
    first.set(SUMS="b" * 64)
    ran = first.boot()
    assert ran.returncode == 1
    assert first.result["message"] == (
        f"this machine's image was made from the bundle {'a' * 12}, "
        f"and its seed is of the bundle {'b' * 12}"
    )
    assert first.calls == []


@pytest.mark.parametrize(("sums", "images"), [("a" * 64, "control-plane"), ("b" * 64, "worker")])
def test_a_worker_has_the_images_of_its_image(machine: Machine, sums: str, images: str) -> None:
    """A control plane's are more than its own: none of them has to be loaded again."""
    machine.set(SUMS="a" * 64, IMAGES="worker")
    machine.write(
        "etc/airseed/image.env", f"AIRSEED_SUMS='{sums}'\nAIRSEED_IMAGES='control-plane'\n"
    )
    ran = machine.source("load_environment; echo $AIRSEED_IMAGES", "values")
    assert ran.stdout == f"{images}\n"


def test_the_plan_says_how_often() -> None:
    assert "\n# tries: 3\n" in (tree("cloudinit-templates") / "node/plans/bake").read_text()
    assert "# tries" not in (tree("cloudinit-templates") / "node/plans/first-boot").read_text()

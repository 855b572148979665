"""``build.sh`` of the folder, with stand-ins for Packer and qemu."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from builder.assets import tree

if TYPE_CHECKING:
    from pathlib import Path

PACKER = """
for word; do case $word in output_directory=*) out=${word#*=} ;; manifest=*) list=${word#*=} ;;
    console_log=*) log=${word#*=} ;; esac; done
printf '%s\\n' "$@" >words
mkdir "$out" && echo image >"$out/node.qcow2" && echo '{}' >"$list"
echo 'step packages failed: no bundle was found' >"$log"
printf '%b' "${TELLS:-}"
[ -z "${HANGS:-}" ] || exec sleep 60
exit "${CODE:-0}"
"""
QEMU = """
for word; do case $word in file:*) log=${word#file:} ;; esac; done
echo "${SAYS:-}" >"$log"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    own = tmp_path / "image"
    own.mkdir()
    shutil.copy(tree("packer") / "build.sh", own)
    (own / "source-qemu.pkr.hcl").touch()
    programs = tmp_path / "programs"
    programs.mkdir()
    stand_ins = {"packer": PACKER, "qemu-system-x86_64": QEMU, "xorriso": "", "uname": "echo Linux"}
    for name, body in stand_ins.items():
        (programs / name).write_text(f"#!/bin/bash\n{body}\n")
        (programs / name).chmod(0o755)
    return own


def build(folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    path = f"{folder.parent / 'programs'}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", folder / "build.sh", *words], cwd=folder.parent, capture_output=True, text=True,
        check=False, env={"PATH": path, "AIRSEED_ACCELERATOR": "tcg", **more},
    )  # fmt: skip


def test_the_image_gets_its_place_when_it_is_whole(folder: Path) -> None:
    ran = build(folder, "out", "-var", "cpus=4")
    assert ran.returncode == 0, ran.stderr
    assert sorted(path.name for path in (folder.parent / "out").iterdir()) == [
        "manifest.json", "node.qcow2",
    ]  # fmt: skip
    words = (folder.parent / "words").read_text().splitlines()
    assert "accelerator=tcg" in words
    assert words[-3:] == ["-var", "cpus=4", str(folder)]


def test_no_half_image_is_left_and_the_guest_is_heard(folder: Path) -> None:
    ran = build(folder, "out", CODE="1")
    assert ran.returncode == 1
    assert "image: the last lines of the guest's console:\nstep packages failed" in ran.stderr
    assert "image: error: no image was made (packer's exit code 1" in ran.stderr
    assert not (folder.parent / "out").exists()
    assert not (folder.parent / "out.part").exists()


@pytest.mark.parametrize("what", ["SSH", "IP"])
def test_a_guest_without_an_address_is_told(folder: Path, what: str) -> None:
    ran = build(folder, "out", CODE="1", TELLS=f"==> qemu.node: Timeout waiting for {what}.\\n")
    assert ran.returncode == 1
    assert "image: error: the guest got no address, or does not let Packer log in (" in ran.stderr
    assert not [*folder.parent.glob("out*/*.qcow2")]


def test_a_full_disk_ends_what_would_never_end(folder: Path) -> None:
    ran = build(folder, "out", HANGS="1", AIRSEED_LOOK="0.2", AIRSEED_LEAST=str(1 << 40))
    assert ran.returncode == 1
    assert re.search(r"image: error: the disk of out has \d+ MiB left: the build was", ran.stderr)
    assert not [*folder.parent.glob("out*/*.qcow2")]


def test_an_image_that_is_there_stays(folder: Path) -> None:
    (folder.parent / "out").mkdir()
    ran = build(folder, "out")
    assert (ran.returncode, (folder.parent / "words").exists()) == (1, False)
    assert "image: error: out is there already" in ran.stderr


@pytest.mark.skipif(not os.access("/dev/kvm", os.W_OK), reason="no /dev/kvm to be tried")
@pytest.mark.parametrize(("says", "chosen"), [("Kernel panic - not", "kvm"), ("Decompress", "tcg")])
def test_an_accelerator_counts_when_a_kernel_boots_with_it(
    folder: Path, says: str, chosen: str
) -> None:
    kernel = folder.parent / "vmlinuz"
    kernel.touch()
    ran = build(folder, "out", AIRSEED_ACCELERATOR="", AIRSEED_KERNEL=str(kernel), SAYS=says)
    assert f"image: accelerator: {chosen};" in ran.stderr
    assert ("/dev/kvm opens, but no kernel boots" in ran.stderr) is (chosen == "tcg")

"""A disk that qemu starts from: the node's operating system as a whole machine, with a kernel."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from e2e import root_image
from e2e.resources import CACHE, run

if TYPE_CHECKING:
    from pathlib import Path

    from e2e.root_image import RootImage

WHOLE = CACHE / "whole" / "root"
SIZE = 10
"""GiB."""
_LINUX = """\
DEFAULT linux
LABEL linux
  KERNEL /boot/{kernel}
  INITRD /boot/{ramdisk}
  APPEND root=/dev/vda rw console=ttyS0 {words}
"""
# neither AppArmor, whose program docker would want, nor SELinux, which has no policy here
_WORDS = "net.ifnames=0 mitigations=off systemd.unified_cgroup_hierarchy=0 lsm=yama"
_CARD = "[Match]\nName=eth0\n[Network]\nDHCP=yes\n"
# what stands in for the kernel of a container, and a mask
_NOT_HERE = (
    "usr/local/sbin/modprobe", "usr/local/sbin/runc", "etc/systemd/system/e2e-cgroups.service",
    "etc/systemd/system/sysinit.target.wants/e2e-cgroups.service",
    "etc/systemd/system/systemd-networkd.service", "etc/systemd/system/sshd.service",
)  # fmt: skip


def make(folder: Path, rpms: Path) -> tuple[Path, RootImage]:
    """Make the disk (qcow2), and the image whose packages it has."""
    image = root_image.make(folder / "layers", rpms, lower=WHOLE)
    raw, disk, mounted = folder / "disk.raw", folder / "disk.qcow2", folder / "mounted"
    mounted.mkdir()
    run("truncate", f"--size={SIZE}G", raw)
    # extlinux reads no newer ones
    run("mkfs.ext4", "-q", "-O", "^64bit,^metadata_csum", raw)
    run("mount", "-o", "loop", raw, mounted)
    try:
        with root_image.overlay(f"{image.folder / 'upper'}:{WHOLE}", folder / "view") as root:
            run("cp", "-a", f"{root}/.", mounted)
        _fit(mounted)
    finally:
        run("umount", mounted)
    run("qemu-img", "convert", "-O", "qcow2", raw, disk)
    raw.unlink()
    return disk, image


def kernel() -> Path:
    """Return the kernel of the system, which boots where anything does."""
    return next((WHOLE / "boot").glob("vmlinuz-*"))


def _fit(root: Path) -> None:
    for name in _NOT_HERE:
        (root / name).unlink(missing_ok=True)
    shutil.rmtree(root / "lib/modules" / os.uname().release, ignore_errors=True)
    (root / "etc/systemd/network/card.network").write_text(_CARD, "utf-8")
    (root / "etc/resolv.conf").write_text("nameserver 10.0.2.3\n", "utf-8")
    run("chroot", root, "systemctl", "--quiet", "enable", "systemd-networkd.service")
    run("chroot", root, "systemctl", "--quiet", "enable", "sshd.service")
    ramdisk = next((root / "boot").glob("initrd.img-*"))
    folder = root / "boot/extlinux"
    folder.mkdir()
    text = _LINUX.format(kernel=kernel().name, ramdisk=ramdisk.name, words=_WORDS)
    (folder / "extlinux.conf").write_text(text, "utf-8")
    run("extlinux", "--install", folder)

"""The image that all machines boot from: Debian 12, made to look like CentOS 7.6 with cloud-init.

It has no docker, no Kubernetes and no jq; python3 is where cloud-init and dnf find it and nothing
else does, since what runs on the node must not need it.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from builder.model.rpm import Nevra
from e2e import rpm_packages
from e2e.resources import CACHE, DATA, ROOT, run

if TYPE_CHECKING:
    from collections.abc import Iterator

PYTHON = "/usr/libexec/platform-python"
_STANDINS = {
    # nothing to load and nothing to enforce on the kernel of the host
    "usr/local/sbin/modprobe": "#!/bin/sh\nexit 0\n",
    "usr/local/sbin/setenforce": "#!/bin/sh\nexit 0\n",
    # the real one talks to D-Bus, which on Debian is not there yet when cloud-init calls it
    "usr/local/bin/hostnamectl": (
        '#!/bin/sh\n[ "$1" = set-hostname ] || exec /usr/bin/hostnamectl "$@"\n'
        'for name; do :; done\necho "$name" >/etc/hostname\nhostname "$name"\n'
    ),
}
_FILES = {
    "etc/rpm/macros": "%_dbpath /var/lib/rpm\n",  # Debian's is in the home of the user
    "etc/centos-release": "CentOS Linux release 7.6.1810 (Core)\n",
    "etc/selinux/config": "SELINUX=enforcing\n",
    "etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "etc/machine-id": "",
    "etc/fstab": "",
    # a power-off need not wait for each pod
    "etc/systemd/system.conf.d/e2e.conf": "[Manager]\nDefaultTimeoutStopSec=8s\n",
}
_FOLDERS = ("etc/yum.repos.d", "etc/pki/rpm-gpg", "var/lib/rpm", "opt/airseed")
_MASKED = (
    "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer",
    "fstrim.timer", "console-getty.service", "getty@.service", "systemd-networkd.service",
    "systemd-resolved.service", "dnf-makecache.timer", "cloud-init-hotplugd.socket",
)  # fmt: skip
_CAP_SYS_RESOURCE = 24


@dataclass(frozen=True)
class RootImage:
    """The layers of a machine's file system."""

    folder: Path
    below: RootImage | None = None
    """What it was baked from: then its folder is that of the machine that was sealed."""

    @property
    def layers(self) -> str:
        """Name them as overlayfs wants them, the upper one first."""
        return f"{self.folder / 'upper'}:{self.below.layers if self.below else ROOT}"

    @property
    def packages(self) -> str:
        """Return what ``rpm -qa`` said on it before anything was installed."""
        if self.below:
            return self.below.packages
        return (self.folder / "packages.txt").read_text("utf-8")


def make(folder: Path, rpms: Path, *, lower: Path = ROOT) -> RootImage:
    """Make the image; ``rpms`` has the repositories, ``lower`` what is below it."""
    image = RootImage(folder)
    with overlay(lower, folder) as root:
        _write(root)
        _hide_python(root)
        for path in rpm_packages.taken():
            (root / path.lstrip("/")).unlink()
        _install(root, rpms)
        packages = run("chroot", root, "rpm", "-qa").stdout
    (folder / "packages.txt").write_text(packages, "utf-8")
    return image


@contextmanager
def overlay(lower: Path | str, folder: Path) -> Iterator[Path]:
    """Mount a file system whose changes go to ``folder/upper``."""
    for name in ("upper", "work", "root"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    options = f"lowerdir={lower},upperdir={folder / 'upper'},workdir={folder / 'work'}"
    run("mount", "-t", "overlay", "overlay", "-o", options, folder / "root")
    try:
        yield folder / "root"
    finally:
        run("umount", folder / "root")


def _write(root: Path) -> None:
    for name in _FOLDERS:
        (root / name).mkdir(parents=True, exist_ok=True)
    for name, text in (_FILES | _STANDINS).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(text, "utf-8")
        path.chmod(0o755 if name in _STANDINS else 0o644)
    # systemd would take D-Bus' machine-id for its own, the same on every machine
    for name in ("etc/hostname", "var/lib/dbus/machine-id"):
        (root / name).unlink(missing_ok=True)
    (root / "usr/bin/yum").symlink_to("dnf")
    shutil.copy(DATA / "cloud.cfg", root / "etc/cloud/cloud.cfg")
    shutil.copy(DATA / "units/e2e-cgroups.service", root / "etc/systemd/system")
    if not _may_use_resources():
        shutil.copy(CACHE / "own" / "runc", root / "usr/local/sbin/runc")
    for name in ("iptables", "ip6tables"):
        run(
            "chroot",
            root,
            "update-alternatives",
            "--quiet",
            "--set",
            name,
            f"/usr/sbin/{name}-legacy",
        )
    run("chroot", root, "systemctl", "--quiet", "enable", "e2e-cgroups.service")
    run("chroot", root, "systemctl", "--quiet", "mask", *_MASKED)
    # nothing here can be loaded: what the kernel of the host has counts as built in
    modules = root / "lib/modules" / os.uname().release
    modules.mkdir(parents=True)
    (modules / "modules.builtin").write_text("kernel/net/bridge/br_netfilter.ko\n", "utf-8")


def _hide_python(root: Path) -> None:
    """Move python3 away, and tell those who need it where it is."""
    target = root / PYTHON.lstrip("/")
    programs = sorted((root / "usr/bin").glob("python3*"))
    real = next(path for path in programs if not path.is_symlink() and path.name[-1].isdigit())
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(real, target)
    for path in programs:
        path.unlink(missing_ok=True)
    for path in (*(root / "usr/bin").iterdir(), *(root / "usr/lib/cloud-init").iterdir()):
        if path.is_symlink() or not path.is_file():
            continue
        first, _, rest = path.read_bytes().partition(b"\n")
        if first.startswith(b"#!") and b"python3" in first:
            path.write_bytes(f"#!{PYTHON}\n".encode() + rest)


def _install(root: Path, rpms: Path) -> None:
    """Install the packages that stand for what Debian has already."""
    folder = root / "root/rpms"
    folder.mkdir()
    names = {Nevra.parse(name).filename for name in rpm_packages.base()}
    for path in rpms.rglob("*.rpm"):
        if path.name in names:
            shutil.copy(path, folder)
            names.remove(path.name)
    assert not names, names
    run("chroot", root, "sh", "-c", "rpm -i --nosignature /root/rpms/*.rpm")
    shutil.rmtree(folder)
    shutil.rmtree(root / "root/.rpmdb", ignore_errors=True)


def _may_use_resources() -> bool:
    status = Path("/proc/self/status").read_text("utf-8")
    line = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(line.split()[1], 16) >> _CAP_SYS_RESOURCE & 1)

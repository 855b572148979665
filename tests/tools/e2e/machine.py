"""Machines: systemd-nspawn containers with disks, a network card and a power switch.

Networks are namespaces without a way out: one with a bridge, which stands for the switch, and one
for each machine. All processes are this one's children and all mounts in this one's mount
namespace (``make e2e`` sees to that), so that nothing is left when it ends, in whatever way.
"""

from __future__ import annotations

import fnmatch
import json
import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2e.resources import run
from e2e.root_image import RootImage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NETWORK = "10.211.55"
_PREFIX = 24
_CGROUP = "airseed-e2e-"
_BOUND = ("docker", "containerd", "kubelet", "etcd")
"""Of /var/lib: what must not lie on overlayfs, or passes mounts on."""
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CALLS = "@keyring bpf add_key keyctl perf_event_open @memlock"
_POWER_OFF = signal.SIGRTMIN + 4
_OFF = 180
"""Seconds: a process that waits for the disk, as sync does, ends when the disk is through."""
_THAW = 2
"""Seconds between two looks for containers that are frozen."""


class Namespace:
    """A network namespace that lives as long as a sleeping process."""

    def __init__(self) -> None:
        self._holder = subprocess.Popen(["/usr/bin/unshare", "--net", "/usr/bin/sleep", "infinity"])
        own = Path("/proc/self/ns/net").readlink()
        while Path(f"/proc/{self.pid}/ns/net").readlink() == own:
            time.sleep(0.01)
        self.ip("link", "set", "lo", "up")

    @property
    def pid(self) -> int:
        return self._holder.pid

    @property
    def prefix(self) -> tuple[str, ...]:
        """Return the words before a command that is to run in it."""
        return ("/usr/bin/nsenter", f"--net=/proc/{self.pid}/ns/net", "--")

    def __call__(self, *words: str | Path, **how: Any) -> subprocess.CompletedProcess[str]:
        return run(*self.prefix, *words, **how)

    def ip(self, *words: str, **how: Any) -> subprocess.CompletedProcess[str]:
        return self("ip", *words, **how)

    def close(self) -> None:
        """Let go; the namespace goes with its last process."""
        self._holder.kill()
        self._holder.wait()


class Switch(Namespace):
    """Join machines by a bridge; its own address ends in 1, and nothing is behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.ip("link", "add", "br0", "type", "bridge")
        self.ip("address", "add", f"{NETWORK}.1/{_PREFIX}", "dev", "br0")
        self.ip("link", "set", "br0", "up")


@dataclass
class Machine:
    """One machine. Its disks are kept when it is killed, and gone when it is wiped."""

    name: str
    address: str
    folder: Path
    image: RootImage
    switch: Switch
    baked: Path | None = None
    """An unpacked bundle that the image has."""
    disk: Path | None = None
    """A file that is attached as a raw disk."""
    gateway: bool = True
    """Whether the network has a default route and a nameserver, both leading nowhere."""
    size: int | None = None
    """MiB of its disk; otherwise it has what there is here."""
    elsewhere: str | None = None
    """The network of a second card, such as ``10.212.0``: the default route goes by it."""
    other_address: str | None = None
    """Of the other family, on the same card."""
    started: float = 0
    """When it was last powered on, in seconds since 1970."""
    cable: Namespace | None = field(default=None, init=False)
    """Of the card that it has while it is on."""
    _nspawn: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _loop: Loop | None = field(default=None, init=False)
    _mounted: bool = field(default=False, init=False)

    @property
    def tag(self) -> str:
        """Tell machines of one name apart."""
        return f"{self.name}-{self.address.rpartition('.')[2]}"

    @property
    def root(self) -> Path:
        """Return its file system, as far as it is not in ``var_lib``."""
        return self.folder / "root"

    @property
    def console(self) -> str:
        path = self.folder / "console.log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    @property
    def result(self) -> dict[str, Any]:
        """Return result.json; empty before there is one."""
        with suppress(OSError, ValueError):
            result: dict[str, Any] = json.loads(
                (self.root / "var/lib/airseed/result.json").read_text()
            )
            return result
        return {}

    def insert(self, seed: Mapping[str, bytes]) -> None:
        """Put a seed on its disk, as the folder that an attached ISO would be."""
        self._mount()
        folder = self.root / "var/lib/cloud/seed/nocloud"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name, content in seed.items():
            (folder / name).write_bytes(content)
            (folder / name).chmod(0o600)

    def start(self) -> None:
        """Power on."""
        assert not self.runs, f"{self.name} is running already"
        self._mount()
        self._plug()
        if self.disk and not self._loop:
            self._loop = Loop(self.disk)
        binds = [f"--bind={self.folder / name}:/var/lib/{name}" for name in _BOUND]
        if self.baked:
            binds.append(f"--bind-ro={self.baked}:/opt/airseed/bundle")
        if self._loop:
            binds.append(f"--bind={self._loop.device}")
        if self.gateway:
            (self.root / "etc/resolv.conf").write_text(f"nameserver {NETWORK}.1\n")
        else:
            (self.root / "etc/resolv.conf").write_text("")
        assert self.cable
        with (self.folder / "console.log").open("ab") as console:
            self.started = time.time()
            self._nspawn = subprocess.Popen(
                [
                    "/usr/bin/systemd-nspawn", "--quiet", f"--directory={self.root}",
                    f"--machine={self.tag}", f"--hostname={self.name}", "--register=no",
                    "--keep-unit", "--boot",
                    f"--network-namespace-path=/proc/{self.cable.pid}/ns/net",
                    "--capability=all", "--resolv-conf=off", "--timezone=off", "--link-journal=no",
                    *binds, "--bind=/dev/kmsg", f"--system-call-filter={_CALLS}",
                    "--console=read-only", "systemd.unified_cgroup_hierarchy=0",
                ],
                env={"PATH": _PATH, "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "1"},
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
                preexec_fn=self._enter_cgroups,  # noqa: PLW1509 -- this process has no threads
            )  # fmt: skip

    @property
    def runs(self) -> bool:
        return self._nspawn is not None and self._nspawn.poll() is None

    @property
    def leader(self) -> int | None:
        """Return the number of its process 1, as seen from here."""
        if not self.runs:
            return None
        assert self._nspawn
        with suppress(OSError):
            pid = self._nspawn.pid
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            return int(children[0]) if children else None
        return None

    def sh(self, *words: str, **how: Any) -> subprocess.CompletedProcess[str]:
        """Run a command on it, as root at its console."""
        leader = self.leader
        assert leader, f"{self.name} is off"
        return run(
            "/usr/bin/nsenter", f"--target={leader}", "--all", "--", "/usr/bin/env", "-i",
            "HOME=/root", "TERM=dumb", f"PATH={_PATH}", "KUBECONFIG=/etc/kubernetes/admin.conf",
            *words, **how,
        )  # fmt: skip

    def kill(self) -> None:
        """Pull the plug: SIGKILL to its process 1, which takes all others with it."""
        self._await_end(_OFF, signal.SIGKILL)

    def power_off(self) -> None:
        """Shut it down in order."""
        leader = self.leader
        assert leader, f"{self.name} is off"
        os.kill(leader, _POWER_OFF)
        self._await_end(_OFF)

    def freeze(self) -> None:
        """Let all its processes stand still; its kernel answers for its addresses as before."""
        for point in set(_hierarchies().values()):
            for state in point.glob(f"**/{_CGROUP}{self.tag}/freezer.state"):
                state.write_text("FROZEN")

    def thaw(self) -> None:
        """Let them go on."""
        thaw(self.tag)

    def wipe(self) -> None:
        """Take the machine away with its disks."""
        self.kill()
        if self._mounted:
            self._unmount()
        if self.size:
            self._volume.unlink()
        if self._loop:
            self._loop.close()
            self._loop = None
        shutil.rmtree(self.folder)

    def become_image(self) -> RootImage:
        """Let others start from the disk of this machine, which is off and stays so."""
        assert not self.runs
        self._unmount()
        if self._loop:
            self._loop.close()
        return RootImage(self.folder, self.image)

    def grow(self, size: int) -> None:
        """Make the disk larger, to a number of MiB, of a machine that is off."""
        assert self.size
        assert not self.runs
        self._unmount()
        run("truncate", f"--size={size}M", self._volume)
        run("e2fsck", "-f", "-p", self._volume)
        run("resize2fs", self._volume)
        self.size = size

    @property
    def _volume(self) -> Path:
        return self.folder.with_suffix(".img")

    def _await_end(self, seconds: float, number: int = 0) -> None:
        """Send its process 1 a signal until it is gone; just switched on, it may have none yet."""
        end = time.monotonic() + seconds
        while self.runs:
            if number and (leader := self.leader) is not None:
                with suppress(ProcessLookupError):
                    os.kill(leader, number)
            assert self._nspawn
            with suppress(subprocess.TimeoutExpired):
                self._nspawn.wait(_THAW)
                break
            # runc freezes a container while it sets it up, and the frozen can't even be killed
            thaw(self.tag)
            if time.monotonic() > end:
                self._nspawn.kill()
                self._nspawn.wait()
                raise AssertionError(f"{self.name} did not stop:\n{self.console[-2000:]}")
        if self.cable:
            self.cable.close()
            self.cable = None
        remove_cgroups(self.tag)

    def _mount(self) -> None:
        if self._mounted:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.size:
            if not self._volume.exists():
                run("truncate", f"--size={self.size}M", self._volume)
                run("mkfs.ext4", "-q", self._volume)
            run("mount", "-o", "loop", self._volume, self.folder)
        for name in _BOUND if self.image.below else ():
            if not (self.folder / name).exists():
                run("cp", "-a", self.image.folder / name, self.folder / name)
        for name in ("upper", "work", "root", *_BOUND):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        # rpm renames the folder of its database, which is a layer's
        options = (
            f"lowerdir={self.image.layers},upperdir={self.folder}/upper,"
            f"workdir={self.folder}/work,redirect_dir=on"
        )
        run("mount", "-t", "overlay", "overlay", "-o", options, self.root)
        self._mounted = True

    def _unmount(self) -> None:
        run("umount", self.root)
        if self.size:
            run("umount", self.folder)
        self._mounted = False

    def _plug(self) -> None:
        """Connect a new card: what was set up in the old one is gone with the power."""
        self.cable = Namespace()
        port = f"p-{self.address.rpartition('.')[2]}"
        self.switch.ip("link", "delete", port, check=False)
        self.switch.ip(
            "link",
            "add",
            port,
            "type",
            "veth",
            "peer",
            "name",
            "host0",
            "netns",
            str(self.cable.pid),
        )
        self.switch.ip("link", "set", port, "master", "br0", "up")
        self.cable.ip("address", "add", f"{self.address}/{_PREFIX}", "dev", "host0")
        self.cable.ip("link", "set", "host0", "up")
        if self.other_address:
            # nobody has to wait until it is sure that it is the only one
            self.cable.ip("address", "add", f"{self.other_address}/64", "dev", "host0", "nodad")
        if self.elsewhere:
            self._plug_elsewhere(self.elsewhere)
        elif self.gateway:
            self.cable.ip("route", "add", "default", "via", f"{NETWORK}.1")

    def _plug_elsewhere(self, network: str) -> None:
        """Connect a second card by a switch of its own, which leads nowhere."""
        assert self.cable
        last = self.address.rpartition(".")[2]
        port, peer = f"q-{last}", str(self.cable.pid)
        self.switch.ip("link", "add", "br1", "type", "bridge", check=False)
        self.switch.ip("link", "set", "br1", "up")
        self.switch.ip("link", "delete", port, check=False)
        words = ("type", "veth", "peer", "name", "host1", "netns", peer)
        self.switch.ip("link", "add", port, *words)
        self.switch.ip("link", "set", port, "master", "br1", "up")
        self.cable.ip("address", "add", f"{network}.{last}/{_PREFIX}", "dev", "host1")
        self.cable.ip("link", "set", "host1", "up")
        self.cable.ip("route", "add", "default", "via", f"{network}.1")

    def _enter_cgroups(self) -> None:
        for own in _own_cgroups():
            path = own / f"{_CGROUP}{self.tag}"
            path.mkdir(exist_ok=True)
            for name in ("cpuset.cpus", "cpuset.mems"):
                if (path / name).exists():
                    (path / name).write_text((path.parent / name).read_text())
            (path / "cgroup.procs").write_text("0")


@dataclass
class Loop:
    """Attach a file as a block device; it is detached when this process is gone, too."""

    path: Path
    device: str = field(init=False)
    _file: int = field(init=False)

    def __post_init__(self) -> None:
        self.device = run("losetup", "--find", "--show", "--read-only", self.path).stdout.strip()
        self._file = os.open(self.device, os.O_RDONLY | os.O_CLOEXEC)
        # it is in use, so this lets go of it at the last close
        run("losetup", "--detach", self.device)

    def close(self) -> None:
        os.close(self._file)


def thaw(name: str) -> None:
    """Let the frozen processes of a machine go on."""
    for folder in _groups(name):
        with suppress(OSError):
            (folder / "freezer.state").write_text("THAWED")


def remove_cgroups(name: str = "*") -> None:
    """Remove the groups of a machine that is off, in every hierarchy."""
    for folder in _groups(name):
        _remove_cgroup(folder)


def _groups(name: str) -> Iterator[Path]:
    """Yield a machine's groups in every hierarchy, inner ones first; others may go meanwhile."""
    for point in set(_hierarchies().values()):
        for folder, _, _ in os.walk(point, topdown=False):
            within = Path(folder).relative_to(point).parts
            if fnmatch.filter(within, f"{_CGROUP}{name}"):
                yield Path(folder)


def _remove_cgroup(folder: Path) -> None:
    """Wait for the last process in it to be gone."""
    for _ in range(50):
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.05)
        else:
            return


def _hierarchies() -> dict[str, Path]:
    """Return where each controller's hierarchy is mounted; the second version's has no name."""
    places: dict[str, Path] = {}
    for line in Path("/proc/self/mounts").read_text("utf-8").splitlines():
        _, point, kind, options, *_ = line.split()
        if kind == "cgroup":
            places |= dict.fromkeys(options.split(","), Path(point))
        elif kind == "cgroup2":
            places[""] = Path(point)
    return places


def _own_cgroups() -> list[Path]:
    """Return this process's group in every hierarchy.

    Each machine gets one below it; without that systemd and kubelet of all would share theirs.
    """
    places = _hierarchies()
    groups = []
    for line in Path("/proc/self/cgroup").read_text("utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        if point := places.get(controllers.partition(",")[0]):
            groups.append(point / path.lstrip("/"))
    return groups

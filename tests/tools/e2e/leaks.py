"""Where a cluster's secrets show: in command lines while machines boot, in logs and files after."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from e2e.ground import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from e2e.cluster import Cluster
    from e2e.machine import Machine

_EACH = 0.1
"""Seconds between two looks at all command lines."""


def secrets(cluster: Cluster) -> dict[str, str]:
    """Give what must not be seen, by what it is: of the authority's key its second line."""
    folder = cluster.folder / "secrets"
    token = (folder / "token").read_text().strip()
    return {
        "token": token.partition(".")[2],
        "certificate key": (folder / "certificate-key").read_text().strip(),
        "authority's key": (folder / "ca.key").read_text().splitlines()[1],
        # behind the public half, which packages and bundles bring along
        "signing key": (folder / "signing-key.asc").read_text().splitlines()[20],
    }


@contextmanager
def watched(cluster: Cluster) -> Iterator[None]:
    """See that no process of any machine has a secret among its arguments or variables."""
    needles = {name: value.encode() for name, value in secrets(cluster).items()}
    found: set[str] = set()
    over = threading.Event()
    looks = 0

    def look() -> None:
        nonlocal looks
        while not over.wait(_EACH):
            looks += 1
            for process in Path("/proc").glob("[0-9]*"):
                for name in ("cmdline", "environ"):
                    with suppress(OSError):
                        text = (process / name).read_bytes()
                        found.update(
                            f"the {what} in {name}: {text[:80]!r}"
                            for what, needle in needles.items()
                            if needle in text
                        )

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert looks > 1
    assert not found, found


def check_logs(cluster: Cluster, machine: Machine) -> None:
    """See no secret in journal, console and cloud-init's logs."""
    logs = machine.sh(
        "bash", "-c", "journalctl --no-pager -o cat; cat /var/log/cloud-init*.log"
    ).stdout
    assert "airseed: step" in logs
    for what, needle in secrets(cluster).items():
        assert needle not in logs, f"the {what} is in a log of {machine.name}"
        assert needle not in machine.console, f"the {what} is on the console of {machine.name}"


def check_files(cluster: Cluster, machine: Machine) -> None:
    """See no secret in any file that was written on the machine, but where Kubernetes keeps it."""
    for what, needle in secrets(cluster).items():
        # as input, since arguments can be seen by everybody
        folders = [machine.folder / name for name in ("upper", "kubelet", "docker", "containerd")]
        done = run("grep", "-rlaF", "-f", "-", *folders, check=False, input=f"{needle}\n")
        kept = machine.folder / "upper/etc/kubernetes/pki"
        files = [line for line in done.stdout.splitlines() if not line.startswith(f"{kept}/")]
        assert not files, f"the {what} is on {machine.name}, in {files}"

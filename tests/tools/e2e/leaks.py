"""Where a cluster's secrets show: in command lines while machines boot, in logs and files after."""

from __future__ import annotations

import base64
import gzip
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from e2e.resources import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from e2e.cluster import Cluster
    from e2e.machine import Machine

_EACH = 0.1
"""Seconds between two looks at all command lines."""


def secrets(cluster: Cluster) -> dict[str, str]:
    """Return what must not be seen, by what it is: of the authority's key its second line."""
    folder = cluster.folder / "secrets"
    token = (folder / "token").read_text().strip()
    return {
        "token": token.partition(".")[2],
        "certificate key": (folder / "certificate-key").read_text().strip(),
        "phone-home token": (folder / "phone-home-token").read_text().strip(),
        "authority's key": (folder / "ca.key").read_text().splitlines()[1],
        # behind the public half, which packages and bundles bring along
        "signing key": (folder / "signing-key.asc").read_text().splitlines()[20],
    }


def _forms(secret: str) -> list[str]:
    """Return how a secret may stand in a text: as it is, and in base64 wherever it begins there."""
    forms = [secret]
    for offset in range(3):
        text = base64.b64encode(b"\0" * offset + secret.encode()).decode().rstrip("=")
        # the first and the last characters have bits of what is around
        forms.append(text[(0, 2, 3)[offset] : -1])
    return forms


@contextmanager
def watched(cluster: Cluster) -> Iterator[None]:
    """See that no process of any machine has a secret among its arguments or variables."""
    needles = {
        (name, form.encode()) for name, value in secrets(cluster).items() for form in _forms(value)
    }
    seen: set[str] = set()
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
                        seen.update(
                            f"the {what} in {name}: {text[:80]!r}"
                            for what, needle in needles
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
    assert not seen, seen


def check_logs(cluster: Cluster, machine: Machine) -> None:
    """See no secret in journal, console and cloud-init's logs."""
    logs = machine.sh(
        "bash", "-c", "journalctl --no-pager -o cat; cat /var/log/cloud-init*.log"
    ).stdout
    assert "airseed: step" in logs
    for what, value in secrets(cluster).items():
        for needle in _forms(value):
            assert needle not in logs, f"the {what} is in a log of {machine.name}"
            assert needle not in machine.console, f"the {what} is on the console of {machine.name}"


def check_files(cluster: Cluster, machine: Machine) -> None:
    """See no secret in any file that was written on the machine, but where it is needed for ever.

    Neither in its memory's file systems, nor packed by gzip. A snapshot has all that etcd has.
    """
    etc = machine.folder / "upper/etc"
    snapshots = machine.folder / "upper/var/lib/airseed/snapshots"
    kept = (f"{etc}/kubernetes/pki/", f"{etc}/airseed/phone-home.curl", f"{snapshots}/")
    folders = [machine.folder / name for name in ("upper", "kubelet", "docker", "containerd")]
    for what, value in secrets(cluster).items():
        # as input, since arguments can be seen by everybody
        words = "".join(f"{form}\n" for form in _forms(value))
        done = run("grep", "-rlaF", "-f", "-", *folders, check=False, input=words)
        files = [line for line in done.stdout.splitlines() if not line.startswith(kept)]
        memory = machine.sh("grep", "-srlaF", "-f", "-", "/run", check=False, input=words)
        files += memory.stdout.splitlines()
        for packed in (path for folder in folders for path in folder.rglob("*.gz")):
            with suppress(OSError, EOFError), gzip.open(packed) as file:
                text = file.read()
                files += [str(packed) for form in _forms(value) if form.encode() in text]
        assert not files, f"the {what} is on {machine.name}, in {files}"

"""The programs of Debian that the tests run: where they are, how they start and stop."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

TOOLS = Path(__file__).resolve().parents[3] / "build" / "interop"
"""Where ``setup.sh`` puts what comes from no Debian package."""
PATH = f"{TOOLS}:/usr/sbin:/usr/bin:/sbin:/bin"
"""Debian's own programs alone, whatever else this machine has."""
NEEDED = (
    "busybox containerd crane createrepo_c ctr dnf docker docker-registry dockerd gpg1 htpasswd"
    " mergerepo_c nginx openssl rpm rpmbuild rpmkeys rpmsign runc sha256sum skopeo"
    " systemd-analyze tar umount"
)
_PATIENCE = 60
_RUN = 600


def missing() -> list[str]:
    """Name the programs that are not installed."""
    return [name for name in NEEDED.split() if not shutil.which(name, path=PATH)]


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return the environment of a program: nothing of this user's but what is named."""
    return {"PATH": PATH, "HOME": str(home), "TMPDIR": str(home), "LC_ALL": "C.UTF-8", **more}


def run(
    *words: str | Path, env: Mapping[str, str], check: bool = True, **how: Any
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; raise AssertionError with all it said when it fails."""
    program = shutil.which(words[0], path=env["PATH"])
    assert program, f"{words[0]} is not installed: tests/interop/setup.sh"
    done = subprocess.run(
        [program, *map(str, words[1:])],
        env=dict(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=_RUN,
        **how,
    )
    assert not check or done.returncode == 0, f"{words}: exit {done.returncode}\n{done.stdout}"
    return done


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def listens(port: int) -> bool:
    """Tell whether somebody answers at a port of loopback."""
    with socket.socket() as one:
        one.settimeout(1)
        return one.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def daemon(
    *words: str | Path, env: Mapping[str, str], log: Path, ready: Callable[[], bool]
) -> Iterator[None]:
    """Keep a server running; raise AssertionError with its log when it does not get ready."""
    program = shutil.which(words[0], path=env["PATH"])
    assert program, f"{words[0]} is not installed: tests/interop/setup.sh"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [program, *map(str, words[1:])],
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
    try:
        end = time.monotonic() + _PATIENCE
        while not ready():
            alive = process.poll() is None and time.monotonic() < end
            assert alive, f"{words[0]} does not start:\n{log.read_text(errors='replace')}"
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def unmount_below(folder: Path, env: Mapping[str, str]) -> None:
    """Unmount whatever a killed daemon left below a folder, innermost first."""
    lines = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    inside = f"{folder}{os.sep}"
    points = [line.split()[1].encode().decode("unicode_escape") for line in lines]
    for point in sorted((one for one in points if one.startswith(inside)), reverse=True):
        run("umount", "--lazy", point, env=env)

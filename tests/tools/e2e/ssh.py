"""Ways into machines from outside: sshd on them, and Ansible that comes by it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from e2e.resources import CACHE, run

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from e2e.cluster import Cluster
    from e2e.machine import Machine

_CONFIG = """\
HostKey /etc/ssh/host
AuthorizedKeysFile /etc/ssh/operator.pub
PermitRootLogin prohibit-password
PasswordAuthentication no
UsePAM no
StrictModes no
"""
_USER = "sshd:x:990:990:sshd:/run/sshd:/usr/sbin/nologin\n"
_HOURS = 7200


def let_in(machine: Machine, key: Path) -> None:
    """Start sshd on a machine that runs; the owner of ``key`` is root there."""
    shutil.copy(CACHE / "ssh/usr/sbin/sshd", machine.root / "usr/sbin/sshd")
    folder = machine.root / "etc/ssh"
    folder.mkdir(exist_ok=True)
    shutil.copy(key.with_suffix(".pub"), folder / "operator.pub")
    (folder / "sshd_config").write_text(_CONFIG)
    if not (folder / "host").exists():
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "host")
    users = machine.root / "etc/passwd"
    if _USER not in users.read_text():
        users.write_text(users.read_text() + _USER)
    machine.sh("mkdir", "-p", "/run/sshd")
    machine.sh("/usr/sbin/sshd", "-f", "/etc/ssh/sshd_config")


def make_key(folder: Path) -> Path:
    """Make a key pair; return the private half."""
    key = folder / "operator"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
    return key


def play(
    cluster: Cluster, key: Path, folder: Path, *words: str
) -> subprocess.CompletedProcess[str]:
    """Run the playbook of a folder as its README says, from beside the machines."""
    assert cluster.switch
    home = cluster.folder / "ansible"
    home.mkdir(exist_ok=True)
    env = {
        "HOME": str(home),
        "PATH": "/usr/bin:/bin",
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_HOST_KEY_CHECKING": "False",
        "ANSIBLE_REMOTE_USER": "root",
        "ANSIBLE_PRIVATE_KEY_FILE": str(key),
        # there is no sftp on them
        "ANSIBLE_SSH_TRANSFER_METHOD": "piped",
        "ANSIBLE_NOCOLOR": "1",
    }
    return cluster.switch(
        CACHE / "ansible/bin/python", "-m", "ansible", "playbook",
        "-i", "inventory.yaml", "playbook.yaml", *words,
        env=env, cwd=folder, check=False, timeout=_HOURS,
    )  # fmt: skip

"""Real kubeadm, in namespaces of its own.

Each run has a mount namespace with empty folders where kubeadm writes, and a network namespace
whose only route leads nowhere, so that reaching for the internet fails. ``build-kubernetes``
builds Kubernetes' programs from Go modules once.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from builder.model.cluster import Node
    from builder.render.plan import Plan

BUILD = Path(__file__).parents[2] / "interop/build-kubernetes"
WRITES = ("/etc/kubernetes", "/var/lib/kubelet", "/var/lib/etcd", "/etc/systemd")
ROUTE = """\
ip link set lo up
ip link add nic type veth peer name far
ip link set far up
ip address add 10.0.0.1/24 dev nic
ip link set nic up
ip route add default via 10.0.0.254"""
"""A lone node takes the address of its default route; nobody answers behind it."""


@cache
def programs(version: str, *names: str) -> Path:
    """Return the folder with real programs of a release, building those that are not there."""
    done = subprocess.run([BUILD, version, *names], stdout=subprocess.PIPE, text=True, check=True)
    return Path(done.stdout.strip())


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What kubeadm said and wrote."""

    code: int
    output: str
    folder: Path
    """Has copies of the folders that kubeadm writes to."""

    def read(self, path: str) -> str:
        return (self.folder / path).read_text("utf-8")

    def manifest(self, name: str) -> list[str]:
        """Return the command line of a static pod."""
        pod = yaml.safe_load(self.read(f"kubernetes/manifests/{name}.yaml"))
        (container,) = pod["spec"]["containers"]
        command: list[str] = container["command"]
        return command


def run(version: str, text: str, folder: Path, *commands: str) -> Ran:
    """Run kubeadm's commands one after the other on a document; the first failure ends it."""
    file = folder / "kubeadm.yaml"
    file.write_text(text, "utf-8")
    kept = folder / "kept"
    kept.mkdir()
    lines = ["set -eu", "mount --make-rprivate /"]
    lines += [f"mkdir -p {path}; mount -t tmpfs none {path}" for path in WRITES]
    lines += [ROUTE, f"trap 'cp -a /etc/kubernetes /var/lib/kubelet {kept}/' EXIT"]
    lines += [
        f"{programs(version, 'kubeadm') / 'kubeadm'} {command} --config {file}"
        for command in commands
    ]
    done = subprocess.run(
        ["unshare", "--mount", "--net", "bash", "-c", "\n".join(lines)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
    )
    return Ran(code=done.returncode, output=done.stdout, folder=kept)


def nothing_unknown(ran: Ran) -> None:
    """kubeadm only warns of a field that it does not know, up to 1.2x by ``strict.go``."""
    for word in ("unknown field", "strict", "deprecated"):
        assert word not in ran.output, ran.output


def node_of(plan: Plan, part: str) -> Node:
    return next(node for node in plan.cluster.nodes if plan.part(node) == part)

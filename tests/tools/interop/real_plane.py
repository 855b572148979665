"""A control plane of real programs on loopback, with the arguments that kubeadm gave them.

``kubeadm`` makes manifests and certificates of what is rendered; etcd, the API server and the
controller-manager run with the very arguments of those manifests.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import plans

from builder.render import kubeadm
from interop import real_kubeadm
from interop.programs import daemon, free_port, listens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

PROGRAMS = ("kubeadm", "kube-apiserver", "kube-controller-manager", "kube-proxy", "kubectl")
PHASES = ("certs all", "kubeconfig all", "control-plane all")
ONE = """\
kubernetes: 1.18.5
endpoint: 10.0.0.9
network: {pods: 10.244.0.0/16, services: 10.96.0.0/16}
kubeadm: {ClusterConfiguration: {apiServer: {certSANs: [127.0.0.1]}}}
nodes:
  - {name: a, role: control-plane, address: 10.0.0.1}
"""
"""A cluster of one family, whose API server may be asked on loopback."""
_PATIENCE = 120


@dataclass(frozen=True, kw_only=True)
class Plane:
    kubectl: Sequence[str | Path]
    log: Path

    def say(self, *words: str) -> str:
        """Return what kubectl prints, however it ends."""
        done = subprocess.run(
            [*self.kubectl, *words], stdout=subprocess.PIPE, text=True, check=False
        )
        return done.stdout

    def ask(
        self, *words: str, given: Any = None, text: str | None = None, fails: bool = False
    ) -> str:
        done = subprocess.run(
            [*self.kubectl, *words],
            input=json.dumps(given) if given is not None else text,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode != 0) is fails, done.stderr + self.log.read_text("utf-8")[-3000:]
        return done.stderr if fails else done.stdout

    def get(self, kind: str, name: str) -> Any:
        return json.loads(self.ask("get", kind, name, "-o", "json"))["spec"]

    def node(self, name: str) -> list[str]:
        """Make a Node, as a kubelet does, and return the ranges that it is given."""
        self.ask("apply", "-f", "-", given=_named("Node", name))
        eventually(lambda: "podCIDRs" in self.get("node", name), self.log)
        return list(self.get("node", name)["podCIDRs"])

    def service(self, name: str, **spec: Any) -> list[str]:
        ports = [{"port": 80}]
        value = {**_named("Service", name), "spec": {"ports": ports, **spec}}
        self.ask("apply", "-f", "-", given=value)
        made = self.get("service", name)
        return list(made.get("clusterIPs") or [made["clusterIP"]])


def _named(kind: str, name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}}


def eventually(check: Callable[[], bool], log: Path) -> None:
    begun = time.monotonic()
    while not check():
        assert time.monotonic() - begun < _PATIENCE, log.read_text("utf-8")[-3000:]
        time.sleep(0.5)


def programs(version: str) -> Path:
    return real_kubeadm.programs(version, *PROGRAMS)


def prepared(version: str, text: str, folder: Path) -> real_kubeadm.Ran:
    """Let kubeadm make what a control plane starts with."""
    folder.mkdir()
    plan = plans.plan(text.replace("1.18.5", version))
    phases = [f"init phase {phase}" for phase in PHASES]
    ran = real_kubeadm.run(version, kubeadm.text(plan, plan.first), folder, *phases)
    assert ran.code == 0, ran.output
    real_kubeadm.nothing_unknown(ran)
    return ran


@contextmanager
def plane(version: str, made: real_kubeadm.Ran, store: int) -> Iterator[Plane]:
    """Run the API server and the controller-manager by their manifests, over an etcd."""
    folder, port, own = programs(version), free_port(), made.folder / "kubernetes"
    env = {"PATH": os.environ["PATH"], "HOME": str(made.folder)}
    for name in ("admin", "controller-manager"):
        file = own / f"{name}.conf"
        text = re.sub(r"server: .*", f"server: https://127.0.0.1:{port}", file.read_text("utf-8"))
        file.write_text(text, "utf-8")
    kubectl: list[str | Path] = [folder / "kubectl", "--kubeconfig", own / "admin.conf"]
    answers = [*kubectl, "get", "--raw", "/readyz"]
    with ExitStack() as running:
        for name, other, ready in (
            (
                "kube-apiserver",
                {
                    "--secure-port": str(port),
                    "--bind-address": "127.0.0.1",
                    "--etcd-servers": f"http://127.0.0.1:{store}",
                },
                lambda: subprocess.run(answers, capture_output=True, check=False).returncode == 0,
            ),
            (
                "kube-controller-manager",
                {"--secure-port": "0", "--port": "0", "--leader-elect": "false"},
                lambda: True,
            ),
        ):
            log = made.folder / f"{name}.log"
            words = _words(made.manifest(name), own, other)
            running.enter_context(daemon(folder / name, *words, env=env, log=log, ready=ready))
        yield Plane(kubectl=kubectl, log=made.folder / "kube-controller-manager.log")


def _words(manifest: Sequence[str], own: Path, other: dict[str, str]) -> list[str]:
    """Return a manifest's arguments with what is on this machine otherwise than on a node."""
    kept = [
        word.replace("/etc/kubernetes", str(own))
        for word in manifest[1:]
        if word.partition("=")[0] not in other
        and not word.startswith(("--etcd-ca", "--etcd-cert", "--etcd-key"))
    ]
    said = {word.partition("=")[0] for word in manifest}
    always = {"--secure-port", "--bind-address", "--etcd-servers", "--leader-elect"}
    return kept + [f"{name}={value}" for name, value in other.items() if name in said | always]


@contextmanager
def etcd(folder: Path) -> Iterator[int]:
    """Run an etcd that outlives its API servers."""
    port, peers = free_port(), free_port()
    with daemon(
        *(
            "etcd",
            "--data-dir",
            folder / "etcd",
            "--listen-peer-urls",
            f"http://127.0.0.1:{peers}",
        ),
        *("--listen-client-urls", f"http://127.0.0.1:{port}"),
        *("--advertise-client-urls", f"http://127.0.0.1:{port}"),
        env={"PATH": os.environ["PATH"]},
        log=folder / "etcd.log",
        ready=lambda: listens(port),
    ):
        yield port

"""A cluster from cluster.yaml to Ready: airseed's own verbs, then machines."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from string import Template
from typing import TYPE_CHECKING, Any

import yaml

from builder.formats import lock as lock_format
from builder.model.image_names import ImageNames
from e2e.machine import NETWORK, Machine, Switch
from e2e.power_cuts import await_moment
from e2e.resources import DATA, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from e2e.machine import Namespace
    from e2e.root_image import RootImage
    from e2e.upstream import Upstream

PATIENCE = 900
"""Seconds from power-on to a cluster that is well, before it counts as failed."""
# An API server address in brackets is what a kubeadm of this age asks its proxy settings about; a
# Go of today refuses such a URL where the address is IPv4. Upstream's own binary does not need it.
IGNORED = ["HTTPProxyCIDR"]
_FIRST = 48
"""Where a lone node is."""
_READY = "kubectl get nodes -o json"


def only(*names: str) -> Callable[[dict[str, Any]], None]:
    """Return what leaves these nodes alone in a cluster.yaml."""

    def change(document: dict[str, Any]) -> None:
        document["nodes"] = [node for node in document["nodes"] if node["name"] in names]

    return change


@contextmanager
def separate(folder: Path, upstream: Upstream, image: RootImage) -> Iterator[Cluster]:
    """Yield a cluster on a switch of its own; both are taken away in the end."""
    switch = Switch()
    cluster = Cluster(folder, upstream, image, switch)
    try:
        yield cluster
    finally:
        cluster.close()
        switch.close()


@dataclass
class Cluster:
    """Describe a cluster, make its bundle and seeds, and run its machines."""

    folder: Path
    upstream: Upstream
    image: RootImage
    switch: Switch | None = None
    payload: str = "baked"
    """How machines get the bundle: ``baked``, ``disk``, or by what cluster.yaml says (``url``)."""
    gateway: bool = True
    elsewhere: str | None = None
    """The network of a second card; the default route goes by it then."""
    machines: dict[str, Machine] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)

    def describe(
        self, example: str, change: Callable[[dict[str, Any]], None] | None = None
    ) -> None:
        """Write cluster.yaml: one of airseed's examples, fitted to these machines."""
        self.folder.mkdir(parents=True)
        self.airseed("init", "--example", example)
        path = self.folder / "cluster.yaml"
        document = yaml.safe_load(path.read_text("utf-8"))
        document["cni"] = "none"
        document["os"] = {"name": "centos", "version": 7.6, "base": {"packages": "image.txt"}}
        document["extra"] = {"manifests": ["kube-flannel.yaml"]}
        kubeadm = document.setdefault("kubeadm", {})
        for kind in ("InitConfiguration", "JoinConfiguration"):
            kubeadm[kind] = {"nodeRegistration": {"ignorePreflightErrors": IGNORED}}
        if change:
            change(document)
        flannel = Template((DATA / "kube-flannel.yaml").read_text("utf-8"))
        text = flannel.substitute(pods=document["network"]["pods"])
        (self.folder / "kube-flannel.yaml").write_text(text, "utf-8")
        (self.folder / "image.txt").write_text(self.image.packages, "utf-8")
        path.write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = yaml.safe_load((self.folder / "cluster.yaml").read_text("utf-8"))
        return document

    def prepare(self) -> None:
        """Lock, bundle, verify, make secrets and seeds, as a user does."""
        catalog = ("--catalog", str(self.upstream.catalog))
        verbs = ("lock", *catalog), ("bundle",), ("verify",), ("secrets",), ("seeds", *catalog)
        for words in verbs:
            began = time.monotonic()
            self.airseed(*words)
            self.timings[words[0]] = time.monotonic() - began
        if self.payload != "disk":
            unpacked = self.folder / "unpacked"
            unpacked.mkdir()
            run("tar", "-xf", self.folder / "bundle.tar", "-C", unpacked)

    def stand(self, change: Callable[[dict[str, Any]], None] | None = None) -> None:
        """Bring a cluster up whose first day is over."""
        self.describe("ha", change)
        self.prepare()
        self.start()
        self.wait()
        self.end_window()
        self.wait_for_pods()

    def fill(self, registry: str, through: Namespace, *, without: str = "") -> None:
        """Copy the bundle's images into a registry under the names that nodes ask for.

        All but the one with the name ``without``.
        """
        archive = self.folder / "images.tar"
        run("tar", "-cf", archive, "-C", self.folder / "unpacked" / "images", ".")
        lock = lock_format.read(self.folder / "cluster.lock")
        for image in lock.images:
            if image.reference.path.rpartition("/")[2] == without:
                continue
            through(
                "skopeo", "--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false",
                f"docker-archive:{archive}:{image.reference}",
                f"docker://{ImageNames(registry).name(image.reference)}",
            )  # fmt: skip
        archive.unlink()

    def airseed(self, *words: str, code: int | None = 0, through: Namespace | None = None) -> str:
        """Run airseed beside cluster.yaml; give what it printed. No ``code``: whatever it is."""
        prefix = through.prefix if through else ()
        done = subprocess.run(
            [*prefix, sys.executable, "-m", "builder", *words],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert code in {None, done.returncode}, (
            f"airseed {words}: exit {done.returncode}\n{done.stdout}"
        )
        return done.stdout

    def machine(self, name: str) -> Machine:
        """Return a node's machine; it is made with its seed at first."""
        if name not in self.machines:
            node = next(node for node in self.document["nodes"] if node["name"] == name)
            # a lone node may leave it to the machine
            said = node.get("address", f"{NETWORK}.{_FIRST}")
            address, other = (*said, None)[:2] if isinstance(said, list) else (said, None)
            seed = self.seed(name)
            machine = self.other(name, address.partition("/")[0], seed, other_address=other)
            self.machines[name] = machine
        return self.machines[name]

    def other(
        self,
        name: str,
        address: str,
        seed: Mapping[str, bytes],
        *,
        size: int | None = None,
        other_address: str | None = None,
    ) -> Machine:
        """Make a machine with a seed, whether or not it is the one that cluster.yaml means."""
        assert self.switch
        baked = self.folder / "unpacked" if self.payload == "baked" else None
        disk = self.folder / "bundle.tar" if self.payload == "disk" else None
        folder = self.folder / "machines" / f"{name}-{address}"
        machine = Machine(
            name, address, folder, self.image, self.switch,
            baked=baked, disk=disk, gateway=self.gateway, size=size,
            elsewhere=self.elsewhere, other_address=other_address,
        )  # fmt: skip
        machine.insert(seed)
        return machine

    def seed(self, name: str) -> Mapping[str, bytes]:
        """Return the files of a node's seed, from the ISO that airseed wrote."""
        names = {"user-data", "meta-data", "network-config"}
        folder = self.folder / "seeds" / name
        return {file.name: file.read_bytes() for file in folder.iterdir() if file.name in names}

    @property
    def names(self) -> list[str]:
        return [node["name"] for node in self.document["nodes"]]

    def start(self, names: Iterable[str] | None = None) -> float:
        """Power machines on at the same moment; give when."""
        chosen = [self.machine(name) for name in names or self.names]
        began = time.time()
        for machine in chosen:
            machine.start()
        return began

    def wait(self, names: Iterable[str] | None = None, *, patience: float = PATIENCE) -> None:
        """Wait until each has finished its first boot, and all nodes are Ready."""
        chosen = [self.machine(name) for name in names or self.names]
        end = time.monotonic() + patience
        while time.monotonic() < end:
            for machine in chosen:
                assert machine.runs, f"{machine.name} went down:\n{machine.console[-3000:]}"
            if all(machine.result.get("state") == "done" for machine in chosen) and {
                machine.name for machine in chosen
            } <= set(self.ready()):
                return
            time.sleep(1)
        raise AssertionError(self.account(chosen))

    def end_window(self) -> None:
        """Have the first machine see now, and not up to a minute later, that all have joined."""
        first = self.machine(self.names[0])
        # it is not there any more if they had when the first machine was through
        first.sh("systemctl", "start", "airseed-window.service", check=False)
        closed = first.root / "var/lib/airseed/stamps/closed"
        await_moment(closed.exists, "the window's end", patience=180)

    @property
    def first(self) -> Machine:
        """Return the first machine that runs and has the administrator's kubeconfig."""
        return next(
            machine
            for machine in self.machines.values()
            if machine.leader and (machine.root / "etc/kubernetes/admin.conf").exists()
        )

    def kubectl(self, *words: str, **how: Any) -> str:
        """Ask the cluster."""
        return self.first.sh("kubectl", "--request-timeout=20s", *words, **how).stdout

    def ready(self) -> dict[str, float]:
        """Return the nodes that are Ready, and since when, in seconds since 1970."""
        try:
            text = self.kubectl("get", "nodes", "-o", "json", check=False)
            nodes = json.loads(text)["items"]
        except (StopIteration, ValueError, KeyError):
            return {}
        return {
            node["metadata"]["name"]: datetime.fromisoformat(
                condition["lastTransitionTime"]
            ).timestamp()
            for node in nodes
            for condition in node["status"]["conditions"]
            if condition["type"] == "Ready" and condition["status"] == "True"
        }

    def versions(self) -> dict[str, str]:
        """Return what every kubelet says it is."""
        nodes = json.loads(self.kubectl("get", "nodes", "-o", "json"))["items"]
        return {
            node["metadata"]["name"]: node["status"]["nodeInfo"]["kubeletVersion"] for node in nodes
        }

    def pods(self) -> list[dict[str, Any]]:
        pods: list[dict[str, Any]] = json.loads(self.kubectl("get", "pods", "-A", "-o", "json"))[
            "items"
        ]
        return pods

    def pod_images(self) -> set[str]:
        """Return the names of all images that pods start."""
        return {
            container["image"]
            for pod in self.pods()
            for kind in ("containers", "initContainers")
            for container in pod["spec"].get(kind, ())
        }

    def wait_for_pods(self, *, patience: float = 180) -> None:
        """Wait until every container of every pod is ready."""
        end = time.monotonic() + patience
        while True:
            pods = self.pods()
            waiting = [
                f"{pod['metadata']['name']} on {pod['spec'].get('nodeName')}"
                for pod in pods
                if not all(
                    status["ready"]
                    for status in pod["status"].get("containerStatuses", [{"ready": False}])
                )
            ]
            if not waiting:
                return
            assert time.monotonic() < end, f"not ready: {waiting}\n{self.account()}"
            time.sleep(1)

    def etcd_members(self, *, check: bool = True) -> list[str]:
        """Return the names of etcd's members, by one of them; ``?`` is one that never started."""
        machine = next(
            machine
            for machine in self.machines.values()
            if (machine.folder / "etcd/member").exists() and machine.runs
        )
        pki = "/etc/kubernetes/pki/etcd"
        answer = machine.sh(
            "curl", "-s", "-S", "--fail", "--cacert", f"{pki}/ca.crt", "--cert", f"{pki}/peer.crt",
            "--key", f"{pki}/peer.key", "-X", "POST", "-d", "{}",
            f"https://{machine.address}:2379/v3/cluster/member/list", check=check,
        ).stdout  # fmt: skip
        return sorted(member.get("name", "?") for member in json.loads(answer)["members"])

    def account(self, machines: Iterable[Machine] | None = None) -> str:
        """Tell how all machines stand, for a failure."""
        text = []
        for machine in machines or self.machines.values():
            result = machine.result
            fields = {
                key: result.get(key)
                for key in ("state", "step", "attempt", "message", "hint", "waiting_for", "lines")
            }
            text.append(
                f"--- {machine.name}: {json.dumps(fields, indent=1)}\n{machine.console[-1500:]}"
            )
        return "\n".join(text)

    def report(self, began: float) -> str:
        """Tell in a table how many seconds each node and step took from power-on."""
        ready = self.ready()
        rows = [f"{'node':8} {'Ready':>6} {'done':>6}  seconds of steps (and of waiting in them)"]
        for name, machine in self.machines.items():
            result = machine.result
            steps = [f"{item['name']} {item['seconds']}" for item in result.get("steps", ())]
            waits = [f"({item['seconds']} for {item['for']})" for item in result.get("waits", ())]
            since = f"{ready[name] - began:.0f}" if name in ready else "-"
            done = f"{result['updated'] - began:.0f}" if result.get("state") == "done" else "-"
            rows.append(f"{name:8} {since:>6} {done:>6}  {', '.join(steps)} {' '.join(waits)}")
        verbs = ", ".join(f"{verb} {seconds:.1f}" for verb, seconds in self.timings.items())
        return "\n".join([*rows, f"seconds of airseed: {verbs}"])

    def reset(self) -> None:
        """Take all machines away, with their disks."""
        faults = []
        for machine in self.machines.values():
            try:
                machine.wipe()
            except (AssertionError, OSError) as error:
                faults.append(f"{machine.name}: {error}")
        self.machines.clear()
        assert not faults, faults

    def close(self) -> None:
        """Take everything away."""
        try:
            self.reset()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

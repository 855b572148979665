"""A change on one machine: laid down, run, and what it did there."""

from __future__ import annotations

import hashlib
import shlex
from typing import TYPE_CHECKING, Any, Protocol

from builder import assets

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping
    from pathlib import Path

    from api_server import Api


SCRIPTS = assets.tree("cloudinit-templates") / "node"
BODY = assets.tree("cloudinit-templates") / "actions/change.sh"
ID = "001-upgrade-1.19.5"
DIGEST = "d" * 64
PLANES = ("k8s01", "k8s02")


class Machine(Protocol):
    """What these use of the machine of tests/node."""

    folder: Path
    authority: Any
    environment: dict[str, str]
    values: dict[str, str]

    @property
    def root(self) -> Path: ...

    @property
    def calls(self) -> list[list[str]]: ...

    def write(self, path: str, content: str) -> Path: ...

    def lay_env(self, path: str, mode: int = ..., /, **values: str) -> None: ...

    def run(
        self, *words: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]: ...


def give(machine: Machine, *plans: str, name: str = ID, digest: str = DIGEST) -> None:
    """Lay a change down, as NODE.sh does."""
    stages = plans or ("upgrade",)
    machine.write("etc/airseed/change/id", f"{name} {digest} {machine.values['NODE']}\n")
    lines = "".join(f"{number} {plan}\n" for number, plan in enumerate(stages, 1))
    machine.write("etc/airseed/change/stages", lines)
    for number in range(1, len(stages) + 1):
        machine.lay_env(
            f"etc/airseed/change/{number}.env",
            KUBERNETES=f"1.{18 + number}.5",
            CHANGE=name,
            STAGE=str(number),
            STAGES=str(len(stages)),
            LAST=str(len(stages)),
            PLANES=" ".join(PLANES),
            COUNT="3",
            NODES=" ".join((*PLANES, "k8s04")),
            COUNT_BEFORE="3" if number > 1 else "0",
            AT_ONCE="1",
            FROM=f"1.{17 + number}.5",
            KUBEADM_PACKAGES=f"kubeadm-1.{18 + number}.5-0.x86_64",
            KUBELET_PACKAGES=f"kubelet-1.{18 + number}.5-0.x86_64",
        )


def finish(api: Api, *names: str, stage: int = 1) -> None:
    for name in names:
        api.hold(f"change-{ID}.{name}", name, change=ID, stage=str(stage))


def make(machine: Machine, **environment: str) -> subprocess.CompletedProcess[str]:
    return machine.run("actions/change", environment=environment)


def step(machine: Machine, plan: str, name: str) -> subprocess.CompletedProcess[str]:
    """Run one step of the first stage alone."""
    return machine.run("run", plan, name, environment={"AIRSEED_STAGE": "1"})


def commands(machine: Machine) -> list[str]:
    """Return what an upgrade did to the machine and to the cluster, in order."""
    words = [" ".join(call) for call in machine.calls]
    marks = ("kubeadm ", "yum ", " drain ", " patch node ", "restart kubelet")
    shown = [line for line in words if any(mark in f" {line}" for mark in marks)]
    return [
        line.partition("--request-timeout=20s ")[2] or line
        for line in shown
        if "--help" not in line
    ]


DRAIN = "drain k8s04 --ignore-daemonsets --delete-local-data --timeout=600s"
CORDON = (
    "patch node k8s04 --type=merge -p "
    f'{{"metadata":{{"annotations":{{"airseed-cordoned":"{ID}"}}}},"spec":{{"unschedulable":true}}}}'
)
UNCORDON = (
    "patch node k8s04 --type=merge -p "
    '{"metadata":{"annotations":{"airseed-cordoned":null}},"spec":{"unschedulable":null}}'
)


def script(machine: Machine, **values: str) -> str:
    """Return NODE.sh for a machine, as it is rendered: values, the body, files, the call."""
    authority = hashlib.sha256((machine.authority.folder / "ca.crt").read_bytes()).hexdigest()
    known = {"CHANGE": ID, "DIGEST": DIGEST, "CLUSTER": "c", "NODE": "k8s04"}
    known |= {"AUTHORITY": authority} | values
    lines = [f"{name}={shlex.quote(value)}\n" for name, value in known.items()]
    env = (machine.root / "etc/airseed/change/1.env").read_text()
    unit = (SCRIPTS / "units/airseed-change.service").read_text()
    files = {
        "0644 scripts units/airseed-change.service": unit,
        "0755 scripts run": "#!/bin/bash\n",
        "0600 change stages": "1 upgrade\n",
        "0600 change 1.env": env,
    }
    laid = "".join(f"lay {where} <<'END'\n{text}END\n" for where, text in files.items())
    return f'#!/bin/bash\n{"".join(lines)}{BODY.read_text()}files() {{\n{laid}}}\nmain "$@"\n'


def run_script(machine: Machine, text: str, *words: str) -> subprocess.CompletedProcess[str]:
    path = machine.folder / "NODE.sh"
    path.write_text(text)
    machine.environment |= {"CHANGED": f"{SCRIPTS}/actions/change"}
    return machine.run(str(path), *words)

"""The user's own configuration of a container runtime: what first boot would refuse in it."""

from __future__ import annotations

import json
import re
import tomllib
from typing import TYPE_CHECKING, Any

from builder.formats.cluster.machine_rules import machines
from builder.formats.reading import WRONG
from builder.model.catalog.paths import real

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from builder.formats.reading import Reading
    from builder.model.cluster import Cluster

_DRIVER = "native.cgroupdriver=systemd"
_UNIT = "/etc/systemd/system/docker.service"
_CRI = re.compile(r"(?:^|\.)cri(?:\.|$)")
_DEEP = re.compile(r"(?:[^\s.\"'=\[\]]+[ \t]*\.[ \t]*){64}")
"""The beginning of a key of so many parts that reading it would take their square in time."""
_FILES = {"docker": "/etc/docker/daemon.json", "containerd": "/etc/containerd/config.toml"}


def check(cluster: Cluster, runtime: str, reading: Reading) -> None:
    """Check what cluster.yaml itself has of it; what lies in files is looked at on the machine."""
    for place, machine in machines(cluster):
        for number, file in enumerate(machine.files):
            if file is WRONG or file.content is None or real(file.path) != _FILES.get(runtime):
                continue
            where = f"{place}.files[{number}].content"
            units = any(one is not WRONG and one.path.startswith(_UNIT) for one in machine.files)
            read, look = _READ[runtime]
            try:
                faults = [*look(read(file.content), units)] if file.content.strip() else []
            except (ValueError, RecursionError) as error:
                faults = [(f"{runtime} would not start with it: {error}", "")]
            for what, expected in faults:
                reading.wrong(where, what, expected=expected or None)


def _json(text: str) -> Any:
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError("it is not an object")  # noqa: TRY004 -- a mistake of the document's
    return content


def _toml(text: str) -> Any:
    if _DEEP.search(text):
        raise ValueError("a key has more than 64 parts")
    return tomllib.loads(text)


def _docker(content: Any, units: bool) -> Iterator[tuple[str, str]]:  # noqa: FBT001 -- one caller
    options = content.get("exec-opts")
    if _DRIVER not in (options if isinstance(options, list) else ()):
        yield "kubelet and docker must have the same cgroup driver", f'"exec-opts": ["{_DRIVER}"]'
    if "hosts" in content and not units:
        what = "docker would not start with hosts: its unit says -H, too"
        yield what, f"a file {_UNIT}.d/... beside it, whose ExecStart has no -H"


def _containerd(content: Any, units: bool) -> Iterator[tuple[str, str]]:  # noqa: FBT001 -- one caller
    del units
    disabled = content.get("disabled_plugins")
    if any(_CRI.search(str(one)) for one in disabled or () if isinstance(disabled, list)):
        yield "kubelet would not reach containerd: cri is disabled", "disabled_plugins without it"
    elif "imports" not in content and not _says(content, ("SystemdCgroup", "systemd_cgroup")):
        yield "kubelet and containerd must both leave cgroups to systemd", "SystemdCgroup = true"


def _says(content: Any, names: tuple[str, ...]) -> bool:
    if not isinstance(content, dict):
        return False
    return any(
        (key in names and value is True) or _says(value, names) for key, value in content.items()
    )


_READ: dict[str, tuple[Callable[[str], Any], Callable[[Any, bool], Iterator[tuple[str, str]]]]] = {
    "docker": (_json, _docker),
    "containerd": (_toml, _containerd),
}

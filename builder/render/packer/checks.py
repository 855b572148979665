"""What a finished image is checked for, once: as lines for the check script, and for goss."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from builder.model.image_names import ImageNames
from builder.render.cloudinit import packages
from builder.render.packer.image import ROLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from builder.render.packer.image import MachineImage

_PORT = re.compile(r"([0-9]+)(?:-([0-9]+))?/tcp")
_FEW = 16
"""Ports in a row that are looked at; what is longer belongs to pods."""
_GLOB = re.compile(r"[*?[]")
_SYSCTL = (
    ("net.bridge.bridge-nf-call-iptables", "1"),
    ("net.bridge.bridge-nf-call-ip6tables", "1"),
    ("net.ipv4.ip_forward", "1"),
)


class Check(NamedTuple):
    kind: str
    name: str
    value: str = ""

    def __str__(self) -> str:
        return " ".join(part for part in self if part)


def checks(image: MachineImage, traces: Sequence[str]) -> tuple[Check, ...]:
    """Return what must be true of the image; ``traces`` are the paths that must be gone."""
    return (*_software(image), *_host(image), *_images(image), *_ports(image), *_identity(traces))


def _software(image: MachineImage) -> Iterator[Check]:
    plan = image.plan
    requested = {*packages.of(plan, plan.cluster.machine)}
    for package in plan.lock.packages:
        if str(package.nevra) in requested:
            name = package.nevra
            epoch = f"{name.epoch}:" if name.epoch else ""
            yield Check("package", name.name, f"{epoch}{name.version}-{name.release}")
    for service in (plan.choice.runtime.name, "kubelet", "sshd", "cloud-init", "cloud-final"):
        yield Check("service", f"{service}.service", "enabled")
    if plan.cluster.machine.firewall != "ports":
        yield Check("service", "firewalld.service", "disabled")
    yield Check("service", "airseed-bootstrap.service", "disabled")


def _host(image: MachineImage) -> Iterator[Check]:
    for name, value in _SYSCTL:
        yield Check("sysctl", name, value)
    yield Check("module", "overlay")
    yield Check("module", "br_netfilter")
    yield Check("swap", "none")
    yield Check("file", "/etc/airseed/image.json")
    yield Check("file", "/usr/libexec/airseed/run")
    yield Check("file", "/opt/airseed/bundle/SHA256SUMS")
    if not image.plan.cluster.image.keep:
        yield Check("absent", "/opt/airseed/bundle/images")
        yield Check("absent", "/opt/airseed/bundle/yum")


def _images(image: MachineImage) -> Iterator[Check]:
    """Docker knows an image by its configuration's digest, containerd by the top manifest's."""
    plan = image.plan
    if plan.cluster.registry:
        return
    names, platform = ImageNames(None), plan.cluster.platforms[0]
    for one in plan.lock.images:
        if ROLE not in one.roles:
            continue
        if plan.choice.runtime.name != "docker":
            yield Check("containerd-image", names.name(one.reference), str(one.digest))
            continue
        for part in one.manifests:
            if part.platform == platform:
                yield Check("docker-image", names.name(one.reference), str(part.config))


def _ports(image: MachineImage) -> Iterator[Check]:
    ports = image.plan.choice.kubernetes.ports
    for text in ports.get(ROLE, ()):
        if match := _PORT.fullmatch(text):
            first, last = int(match[1]), int(match[2] or match[1])
            if last - first < _FEW:
                yield from (Check("port", str(port), "free") for port in range(first, last + 1))


def _identity(traces: Sequence[str]) -> Iterator[Check]:
    yield Check("empty", "/etc/machine-id")
    yield from (Check("absent", trace) for trace in traces)


def lines(listed: Sequence[Check]) -> str:
    return "".join(f"{check}\n" for check in listed)


def goss(listed: Sequence[Check]) -> str:
    """Write the same list as a goss file."""
    document: dict[str, dict[str, Any]] = {}
    for check in listed:
        section, key, wanted = _goss(check)
        document.setdefault(section, {})[key] = wanted
    head = "# The list of airseed-image-check, for goss 0.4 and newer: goss -g goss.yaml validate\n"
    return head + yaml.safe_dump(document, sort_keys=False, width=1000)


_DIRECT: Mapping[str, Callable[[Check], tuple[str, str, dict[str, Any]]]] = {
    "package": lambda one: (
        "package",
        one.name,
        {"installed": True, "versions": [one.value]},
    ),
    "service": lambda one: (
        "service",
        one.name.removesuffix(".service"),
        {"enabled": one.value == "enabled"},
    ),
    "sysctl": lambda one: ("kernel-param", one.name, {"value": one.value}),
    "file": lambda one: ("file", one.name, {"exists": True}),
    "empty": lambda one: ("file", one.name, {"exists": True, "size": 0}),
    "absent": lambda one: ("file", one.name, {"exists": False}),
    "port": lambda one: ("port", f"tcp:{one.name}", {"listening": False}),
}
_COMMANDS = {
    "module": "test -d /sys/module/{0} || grep -q /{0}.ko /lib/modules/$(uname -r)/modules.builtin",
    "swap": "awk 'NR > 1' /proc/swaps; awk '!/^#/ && $3 == \"swap\"' /etc/fstab",
    "docker-image": "docker image inspect {0} | grep '\"Id\"'",
    "containerd-image": "ctr --namespace k8s.io images ls name=={0}",
    "absent": "ls -d {0} 2>/dev/null || true",
}
"""What goss has no word for."""


def _goss(check: Check) -> tuple[str, str, dict[str, Any]]:
    if check.kind in _DIRECT and not _GLOB.search(check.name):
        return _DIRECT[check.kind](check)
    # an empty list is satisfied by anything: that nothing is printed is a pattern of its own
    output = [check.value] if check.value else ["!/./"]
    line = _COMMANDS[check.kind].format(check.name)
    return "command", line, {"exit-status": 0, "stdout": output}

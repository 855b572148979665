"""Paths on a node that have an owner: what no file of the user's may take the place of."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from builder.model.version import numbers

_LINKED = {"/bin": "/usr/bin", "/sbin": "/usr/sbin", "/lib": "/usr/lib", "/lib64": "/usr/lib64"}
_LINKED |= {"/var/run": "/run", "/var/lock": "/run/lock", "/etc/init.d": "/etc/rc.d/init.d"}
_LINKED |= {"/etc/sysconfig/selinux": "/etc/selinux/config"}
"""What are links on every system there is: two names of one file."""
_BELOW = "/**"
STATIC_PODS = "/etc/kubernetes/manifests"
"""Where kubelet finds pods by itself."""
REGISTRY = "$registry"
"""Stands for the host of the internal registry."""


@dataclass(frozen=True, kw_only=True)
class OwnedPath:
    owner: str
    pattern: str
    """``*`` stands for what differs in one name, ``/**`` for a folder and all that is below."""
    why: str
    instead: str
    """How to say in cluster.yaml what one wants."""
    when: str | None = None
    """The key of a machine, or ``endpoint.BY``, without which nobody writes it."""
    since: str | None = None
    """The minor of Kubernetes that knows it first."""

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        plain, below = self.pattern.removesuffix(_BELOW), self.pattern.endswith(_BELOW)
        text = "[^/]*".join(re.escape(part) for part in plain.split("*"))
        return re.compile(f"{text}(?:/.*)?" if below else text, re.DOTALL)

    def owns(self, path: str) -> bool:
        return self._regex.fullmatch(real(path)) is not None

    def needs_folder(self, path: str) -> bool:
        """Tell whether it is below ``path``, which must be a folder then."""
        return self.pattern.startswith(f"{real(path)}/")

    def is_known(self, minor: str | None) -> bool:
        return None in {self.since, minor} or numbers(minor or "") >= numbers(self.since or "")


def is_static_pod(path: str) -> bool:
    """Tell whether kubelet starts what a file holds: it passes by folders and hidden files."""
    folder, _, name = path.rpartition("/")
    return folder == STATIC_PODS and not name.startswith(".")


def real(path: str) -> str:
    """Return a path by the name that its folder has without links."""
    for link, target in _LINKED.items():
        if path == link or path.startswith(f"{link}/"):
            return target + path.removeprefix(link)
    return path

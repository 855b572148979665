"""What a folder for Packer is rendered from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from builder.model.catalog.packer import Delivery, ImageBuilder
    from builder.model.digest import Digest
    from builder.render.plan import Plan

_SHORT = 12
"""Digits of the lock's digest in a name."""
ROLE = "control-plane"
"""Whose container images are in the image: a worker's are among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskImage:
    """A disk with CentOS 7 and cloud-init on it."""

    url: str
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineImage:
    """One image, whatever builds it."""

    plan: Plan
    lock: Digest
    """Of cluster.lock."""
    builders: tuple[ImageBuilder, ...]
    profile: str
    requires: str
    """Which versions of Packer that is."""
    delivery: Delivery
    """How the guest gets the bundle."""
    bundle: str
    """Where it is: a URL, or a file of the machine that Packer runs on."""
    key: str
    """The public key that Packer logs in with, in OpenSSH's form."""
    disk: DiskImage | None = None
    """What to start from instead of the installation medium."""
    version: str
    """Of airseed."""

    @property
    def name(self) -> str:
        plan = self.plan
        system = plan.choice.os
        parts = (
            plan.cluster.name,
            f"k8s-{plan.choice.kubernetes.version}",
            f"{system.name}-{system.version}",
            self.lock.hex[:_SHORT],
        )
        return "-".join(parts)

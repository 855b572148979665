"""RPM names: NEVRA, and epoch-version-release with RPM's own order."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NAME = re.compile(r"[A-Za-z0-9_.+-]+")
_PART = re.compile(r"[A-Za-z0-9_.+~^]+")
_ARCH = re.compile(r"[a-z0-9_]+")
_LONGEST = 512


@dataclass(frozen=True, slots=True, order=True)
class Nevra:
    name: str
    epoch: int
    version: str
    release: str
    arch: str

    @classmethod
    def parse(cls, text: str) -> Nevra:
        """Read ``NAME-[EPOCH:]VERSION-RELEASE.ARCH`` or ``EPOCH:NAME-VERSION-RELEASE.ARCH``.

        Both are what yum and ``rpm -qa`` print. A missing epoch is 0. Raise ValueError
        for anything else.
        """
        fault = f"{text!r} is not a NEVRA (like docker-ce-3:19.03.9-3.el7.x86_64)"
        if len(text) > _LONGEST:
            raise ValueError(f"{text[:40]!r}... is too long for a NEVRA")
        body, dot, arch = text.rpartition(".")
        body, _, release = body.rpartition("-")
        name, _, version = body.rpartition("-")
        epoch = "0"
        if ":" in version:
            epoch, _, version = version.partition(":")
        elif ":" in name:
            epoch, _, name = name.partition(":")
        if not (dot and _NAME.fullmatch(name) and _ARCH.fullmatch(arch)):
            raise ValueError(fault)
        if not (_PART.fullmatch(version) and _PART.fullmatch(release)):
            raise ValueError(fault)
        if not (epoch.isascii() and epoch.isdigit() and len(epoch) <= 10):  # noqa: PLR2004 -- epoch is 32 bits
            raise ValueError(fault)
        return cls(name, int(epoch), version, release, arch)

    @property
    def evr(self) -> str:
        """Return ``[EPOCH:]VERSION-RELEASE``; epoch 0 is left out, as yum does."""
        return f"{f'{self.epoch}:' if self.epoch else ''}{self.version}-{self.release}"

    @property
    def filename(self) -> str:
        """Return the usual file name; it has no epoch."""
        return f"{self.name}-{self.version}-{self.release}.{self.arch}.rpm"

    def __str__(self) -> str:
        return f"{self.name}-{self.evr}.{self.arch}"

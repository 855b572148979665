"""Image references, normalised as docker and containerd do it.

Grammar: the distribution project's reference/reference.go. ``nginx`` means
``docker.io/library/nginx:latest``; Docker Hub answers at registry-1.docker.io.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from builder.model.digest import Digest
from builder.ordered import Ordered

_HOST = re.compile(
    r"(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
    r"(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?"
)
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_OTHER_DIGEST = re.compile(r"(?!sha256:)[a-z0-9+._-]+:[0-9a-fA-F]{32}")
_IDENTITY = re.compile(r"[0-9a-f]{64}")
_LONGEST = 255
_SHORT = 12
HUB = "docker.io"


@dataclass(frozen=True, slots=True)
class Reference(Ordered):
    host: str
    path: str
    tag: str | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a reference, short forms included; raise ValueError for anything else."""
        rest, at, digest = text.rpartition("@")  # the last: nothing before it is of the digest
        rest, digest = (rest, digest) if at else (text, "")
        if _OTHER_DIGEST.match(digest):
            raise ValueError(
                f"{text!r} has a digest that is no sha256: say its tag, or its sha256 instead"
            )
        pinned = Digest.parse(digest) if digest else None
        if "@" in text and not digest:
            raise ValueError(f"{text!r} ends in @ without a digest")
        if _IDENTITY.fullmatch(rest):
            raise ValueError(f"{text!r} is an image's ID, which engines take for no name")
        head, slash, tail = rest.partition("/")
        if slash and ("." in head or ":" in head or head == "localhost"):
            host, rest = head, tail
        else:
            host = HUB
        path, colon, tag = rest.partition(":")
        if host in {HUB, "index.docker.io", "registry-1.docker.io"}:
            host = HUB
            if path and "/" not in path:
                path = f"library/{path}"
        if not _HOST.fullmatch(host):
            raise ValueError(f"{text!r} names no valid registry host")
        if not _PATH.fullmatch(path) or len(path) > _LONGEST:
            raise ValueError(
                f"{text!r} is not an image reference (like registry.example.com/team/app:1.0)"
            )
        if colon and not _TAG.fullmatch(tag):
            raise ValueError(f"{text!r} has no valid tag")
        return cls(host, path, (tag if colon else None if pinned else "latest"), pinned)

    @property
    def repository(self) -> str:
        """Return host and path, such as ``k8s.gcr.io/pause``."""
        return f"{self.host}/{self.path}"

    @property
    def tagged(self) -> Reference:
        """Return the name by which engines and registries that were filled from a file have it.

        Both know a digest only of what they pulled; who has no tag gets one made of its digest.
        """
        if self.digest is None:
            return self
        return replace(self, tag=self.tag or f"digest-{self.digest.hex[:_SHORT]}", digest=None)

    def at(self, repository: str) -> Reference:
        host, _, path = repository.partition("/")
        return replace(self, host=host, path=path)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.repository}{tag}{f'@{self.digest}' if self.digest else ''}"

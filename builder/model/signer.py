"""Who may sign images, and what an image's signature is made of (cosign's)."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from builder.model.digest import Digest
    from builder.model.reference import Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Name whom a certificate of a signing service must be for."""

    subject: str
    """An address or URI, as the certificate's alternative name has it; ``*`` stands for any."""
    issuer: str
    """The URL of who vouched for it (an OpenID Connect provider)."""

    def __str__(self) -> str:
        return f"{self.subject} (by {self.issuer})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """Hold what short-lived certificates and their log are checked with, as PEM texts."""

    name: str
    certificates: tuple[str, ...]
    """Roots, and the certificates between them and the signers'."""
    logs: tuple[str, ...]
    """Public keys of transparency logs, which say when something was signed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Say who signs some images: the holder of a key, or an identity with a certificate."""

    name: str
    images: tuple[str, ...]
    """Repositories that it signs, such as ``registry.k8s.io/*``."""
    keys: tuple[str, ...] = ()
    """Public keys, as PEM texts."""
    identities: tuple[Identity, ...] = ()
    authority: Authority | None = None
    """What certificates of the identities are checked with."""
    required: bool = False
    """Whether an image without its signature is refused."""
    signed_as: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Other names that its signatures give to repositories: of mirrors, or from before a move.

    ``*`` at the end stands for the rest of the name, the same in both; any other for a part of it.
    """

    def signs(self, reference: Reference) -> bool:
        return any(fnmatchcase(reference.repository, pattern) for pattern in self.images)

    def names(self, reference: Reference, name: str, image: Digest) -> bool:
        """Tell whether a signature that gives an image this name may be of a reference."""
        try:
            named = reference.parse(name)
        except ValueError:
            return False
        tagged = ":" in name.partition("@")[0].rpartition("/")[2]
        if named.digest not in {None, image}:
            return False
        if tagged and reference.tag and named.tag != reference.tag:
            return False
        return named.repository == reference.repository or any(
            _fits(named.repository, other)
            for pattern, others in self.signed_as.items()
            for other in _others(reference.repository, pattern, others)
        )


def _others(repository: str, pattern: str, others: Iterable[str]) -> Iterator[str]:
    """Yield the other names of a repository, with its own part in place of the last ``*``."""
    start, star, _ = pattern.partition("*")
    if not star and repository == pattern:
        yield from others
    if star and repository.startswith(start):
        rest = repository.removeprefix(start)
        yield from (f"{other[:-1]}{rest}" for other in others if other.endswith("*"))


def _fits(name: str, pattern: str) -> bool:
    """Tell whether each part of a name is as in a pattern; ``*`` is none or some of one part."""
    parts, wanted = name.split("/"), pattern.split("/")
    return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSignature:
    """Name the parts of one signature, an OCI manifest of its own; it is about the top digest."""

    digest: Digest
    """Of its manifest."""
    size: int
    """Bytes of its manifest."""
    blobs: tuple[Digest, ...]
    """Its configuration and payloads."""

    @property
    def digests(self) -> tuple[Digest, ...]:
        return (self.digest, *self.blobs)

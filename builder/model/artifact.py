"""What a lock names: everything that may enter a bundle, by digest and size.

Paths are places inside the bundle. ``kept`` says that the bytes were needed to make the lock and
lie content-addressed beside it (``cluster.lock.d/<hex>``), so that bundling does not ask for them
again and no later zlib or createrepo_c changes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from builder.model.digest import Digest
    from builder.model.platform import Platform
    from builder.model.recipe import Program
    from builder.model.reference import Reference
    from builder.model.rpm import Nevra
    from builder.model.signer import ImageSignature

INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
CONFIG_TYPES = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)
LAYER_TYPES = (
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
)
COMPRESSIONS = ("gzip", "zstd")
PAYLOAD_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
"""What a signature of an image is over."""
Trust = Literal["pinned", "signed", "first-use"]
"""Why a digest is believed: the catalog or the user wrote it down, upstream signed it (or the
metadata that names it), or it was what upstream gave at the first lock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageManifest:
    platform: Platform
    digest: Digest
    config: Digest
    layers: tuple[Digest, ...]
    """Lowest first, as in the manifest; a digest may repeat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    reference: Reference
    """The name that kubeadm, kubelet or a manifest asks for."""
    digest: Digest
    size: int
    """Bytes of the index or manifest itself; see the blobs for the rest."""
    media_type: str
    sources: tuple[str, ...]
    """References that may be asked, in order; the first that has the digest is taken."""
    manifests: tuple[ImageManifest, ...]
    roles: tuple[str, ...]
    """Node roles that start it: ``control-plane``, ``worker``."""
    needed_by: tuple[str, ...]
    trust: Trust = "first-use"
    signatures: tuple[ImageSignature, ...] = ()
    """Those that upstream has beside it; they travel along, whoever made them."""
    signed_by: str | None = None
    """The signer, of those that are pinned, of whom one of them is: see model.signer."""
    hops: tuple[str, ...] = ()
    """The releases of the lock's way that start it; none means all."""

    @property
    def name(self) -> str:
        return str(self.reference)

    @property
    def digests(self) -> frozenset[Digest]:
        """Return all that it is made of but signatures: what a registry or engine has of it."""
        parts = {self.digest}
        for manifest in self.manifests:
            parts |= {manifest.digest, manifest.config, *manifest.layers}
        return frozenset(parts)

    @property
    def signed_digests(self) -> frozenset[Digest]:
        return frozenset(digest for signature in self.signatures for digest in signature.digests)


def blob_path(digest: Digest) -> str:
    return f"images/blobs/sha256/{digest.hex}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """Hold one piece of OCI content: an index, a manifest, a config or a layer."""

    digest: Digest
    size: int
    media_type: str
    sources: tuple[str, ...]
    """Repositories (``registry.k8s.io/pause``) that may have it, in order."""

    @property
    def name(self) -> str:
        return str(self.digest)

    @property
    def path(self) -> str:
        return blob_path(self.digest)

    @property
    def kept(self) -> bool:
        return self.media_type in INDEX_TYPES or self.media_type in MANIFEST_TYPES

    @property
    def compression(self) -> str:
        """Return how a layer is compressed; "" for one that is not."""
        return next((name for name in COMPRESSIONS if self.media_type.endswith(name)), "")

    @property
    def is_layer(self) -> bool:
        return self.media_type in LAYER_TYPES


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """Hold one published file that an RPM was built from; it is no part of the bundle itself."""

    name: str
    digest: Digest
    sources: tuple[str, ...]
    """URLs, in order."""
    trust: Trust = "first-use"

    @property
    def program(self) -> Program:
        """Ask for just these bytes."""
        from builder.model.recipe import Program  # noqa: PLC0415 -- the catalog comes with it

        return Program(name=self.name, sources=self.sources, digest=self.digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    by: str
    """The builder and its version: another one gives other bytes."""
    order: Digest
    """Of the document beside the lock that says what it is made of; see ``formats.recipe``."""
    inputs: tuple[Input, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    nevra: Nevra
    repository: str
    digest: Digest
    size: int
    sources: tuple[str, ...]
    """URLs, in order."""
    keys: tuple[str, ...]
    """Fingerprints of which one must have signed the header; upper-case hex."""
    requested: bool
    """Asked for by name, not only by another package."""
    needed_by: tuple[str, ...]
    """Who asks for it: package names, or ``kubeadm``, ``runtime``, ``extra`` and the like."""
    trust: Trust = "first-use"
    from_base: tuple[str, ...] = ()
    """What it requires that no package of the lock provides, so that the base must."""
    built: Build | None = None
    """None for what a repository has; what is built has no sources of its own."""
    hops: tuple[str, ...] = ()
    """The releases of the lock's way that need it; none means all."""

    @property
    def name(self) -> str:
        return str(self.nevra)

    @property
    def path(self) -> str:
        return f"yum/{self.repository}/Packages/{self.nevra.filename}"

    def meets(self, other: Package) -> bool:
        """Tell whether a release needs both, so that they are on one machine together."""
        return not self.hops or not other.hops or not {*self.hops}.isdisjoint(other.hops)

    @property
    def kept(self) -> bool:
        return False


FileKind = Literal["repodata", "key", "manifest", "file", "signer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """Hold one plain file: repodata, a public key, a manifest, a signer, or the user's own."""

    kind: FileKind
    path: str
    digest: Digest
    size: int
    sources: tuple[str, ...]
    """URLs or ``file:`` paths, in order; none for repodata and signers, which locking makes."""
    needed_by: tuple[str, ...] = ()
    fingerprint: str | None = None
    """Of a key: its fingerprint, upper-case hex."""
    trust: Trust = "first-use"

    @property
    def name(self) -> str:
        return self.path

    @property
    def kept(self) -> bool:
        return self.kind != "file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """Describe one yum repository that packages were taken from, as it was when locked."""

    name: str
    sources: tuple[str, ...]
    """Base URLs, in order."""
    digest: Digest
    """Of the upstream repomd.xml that was read."""
    size: int
    keys: tuple[str, ...]
    signed: bool
    """Whether upstream's repomd.xml carried a good signature of one of the keys."""


Artifact = Image | Blob | Package | File | Repository
Content = Blob | Package | File
"""Artifacts whose bytes are members of the bundle."""

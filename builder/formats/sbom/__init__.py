"""What a software bill of materials lists, whichever format it is written in.

One item for each RPM, image, platform of an image, manifest and file, with a package URL
(https://github.com/package-url/purl-spec). All of it follows from the lock and the documents that
belong to it, so equal locks give equal bills.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from builder.formats import lock as lock_format
from builder.model.digest import Digest
from builder.model.source import is_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from builder.model.artifact import File, Image, ImageManifest, Package
    from builder.model.lock import Lock, Subject

Kind = Literal["package", "image", "platform", "file"]
_UNNAMED = re.compile(r"[^A-Za-z0-9.-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class MakerClaims:
    """Hold what the makers say about an artifact; texts of theirs, unchecked."""

    licence: str | None = None
    vendor: str | None = None


Claims = Mapping[Digest, MakerClaims]
"""By artifact, where they are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BillItem:
    kind: Kind
    name: str
    version: str | None = None
    purl: str
    digest: Digest
    size: int
    claims: MakerClaims
    trust: str
    path: str | None = None
    """Its place in a bundle; an image has many."""
    url: str | None = None
    """Where it comes from first, if that has a URL."""
    parts: tuple[BillItem, ...] = ()
    """The platforms of an image index."""
    needs: tuple[str, ...] = ()
    """Names (``key``) of other items."""

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.path or self.name}"

    @property
    def identifier(self) -> str:
        """Name it in letters, digits, dots and dashes alone, and still like nothing else."""
        plain = _UNNAMED.sub("-", self.key)[:80].strip("-")
        return f"{plain}-{Digest.of(self.key.encode()).hex[:8]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """Hold a whole bill; items by kind, each kind sorted by name."""

    subject: Subject
    lock: Digest
    items: tuple[BillItem, ...]
    roots: tuple[str, ...] = field(default=())
    """Names of the items that were asked for; the others came with them."""

    def uuid(self, form: str) -> uuid.UUID:
        """Return this bill's number in one format: the same for the same lock."""
        return uuid.uuid5(uuid.NAMESPACE_URL, f"airseed {form} {self.lock}")


def bill(lock: Lock, claims: Claims) -> Bill:
    name = attrgetter("name")
    sizes = {blob.digest: blob.size for blob in lock.blobs}
    needed: dict[str, list[Package]] = {}
    for package in lock.packages:
        for by in {*package.needed_by}:
            needed.setdefault(by, []).append(package)
    items = [
        *(_package(package, lock, needed, claims) for package in sorted(lock.packages, key=name)),
        *(_image(image, sizes, claims) for image in sorted(lock.images, key=name)),
        *(_file(file, claims) for file in sorted(lock.files, key=name)),
    ]
    asked = {f"package:{package.path}" for package in lock.packages if package.requested}
    return Bill(
        subject=lock.subject,
        lock=Digest.of(lock_format.write(lock)),
        items=tuple(items),
        roots=tuple(item.key for item in items if item.kind != "package" or item.key in asked),
    )


def purl(
    kind: str, name: str, version: str | None = None, *, namespace: str = "", **more: Any
) -> str:
    """Write a package URL; qualifiers that are empty are left out."""
    parts = [quote(part, safe="") for part in (*namespace.split("/"), name) if part]
    text = f"pkg:{kind}/{'/'.join(parts)}"
    if version:
        text += f"@{quote(version, safe=':')}"
    given = sorted((key, str(value)) for key, value in more.items() if value)
    if given:
        # as the specification's own examples have it: the slashes of a URL stay
        text += "?" + "&".join(f"{key}={quote(value, safe='/:')}" for key, value in given)
    return text


def _package(
    package: Package, lock: Lock, needed: Mapping[str, Sequence[Package]], claims: Claims
) -> BillItem:
    """Describe a package; ``needed`` has by name what packages of that name need."""
    nevra = package.nevra
    system, _, version = lock.subject.os.partition(" ")
    return BillItem(
        kind="package",
        name=nevra.name,
        version=nevra.evr,
        purl=purl(
            "rpm",
            nevra.name,
            f"{nevra.version}-{nevra.release}",
            namespace=system,
            arch=nevra.arch,
            epoch=nevra.epoch,
            distro=f"{system}-{version}",
        ),
        digest=package.digest,
        size=package.size,
        path=package.path,
        url=_url(package.sources),
        claims=claims.get(package.digest, MakerClaims()),
        trust=package.trust,
        needs=tuple(
            sorted(f"package:{other.path}" for other in needed.get(nevra.name, ())
                   if other.name != package.name and package.meets(other))
        ),
    )  # fmt: skip


def _image(image: Image, sizes: Mapping[Digest, int], claims: Claims) -> BillItem:
    return BillItem(
        kind="image",
        name=image.name,
        version=image.reference.tag,
        purl=_image_purl(image),
        digest=image.digest,
        size=image.size,
        claims=claims.get(image.digest, MakerClaims()),
        trust=image.trust,
        parts=tuple(
            BillItem(
                kind="platform",
                name=f"{image.name} ({part.platform})",
                version=image.reference.tag,
                purl=_image_purl(image, part),
                digest=part.digest,
                size=sizes[part.digest],
                claims=claims.get(part.digest, MakerClaims()),
                trust=image.trust,
            )
            for part in image.manifests
            if part.digest != image.digest
        ),
    )


def _image_purl(image: Image, part: ImageManifest | None = None) -> str:
    platform = part.platform if part else None
    return purl(
        "oci",
        image.reference.path.rpartition("/")[2],
        str(part.digest if part else image.digest),
        repository_url=image.reference.repository,
        tag=image.reference.tag,
        arch=platform.architecture if platform else None,
        os=platform.os if platform else None,
    )


def _file(file: File, claims: Claims) -> BillItem:
    return BillItem(
        kind="file",
        name=file.path,
        purl=purl(
            "generic",
            file.path.rpartition("/")[2],
            checksum=str(file.digest),
            download_url=_url(file.sources),
        ),
        digest=file.digest,
        size=file.size,
        path=file.path,
        url=_url(file.sources),
        claims=claims.get(file.digest, MakerClaims()),
        trust=file.trust,
    )


def _url(sources: Iterable[str]) -> str | None:
    return next((source for source in sources if is_url(source)), None)


def flat(items: Iterable[BillItem]) -> Iterator[BillItem]:
    """Return all items, those within others behind them."""
    for item in items:
        yield item
        yield from flat(item.parts)

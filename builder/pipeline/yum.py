"""The yum side of ``publish`` and ``mirror``: all that a site asks for beside images."""

from __future__ import annotations

import io
import os
import re
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from builder.bundle.delta import lacks
from builder.bundle.reader import FolderBundle, open_bundle
from builder.bundle.source import Supply
from builder.destinations.s3 import S3Tree
from builder.destinations.webdav import WebDavTree
from builder.destinations.yum import YumDestination, YumPlan, YumPublished
from builder.destinations.yum_folder import FolderTree
from builder.errors import FetchError, UsageError
from builder.formats.reading import option
from builder.formats.terms import folder_url
from builder.http import Client
from builder.model.artifact import Package
from builder.oci.auth import Credentials
from builder.pipeline.artifact_sources import Supplier
from builder.pipeline.lock_document import LockDocument
from builder.redact import redact
from builder.rpm.header import read_head
from builder.sources.access import AccessSettings
from builder.sources.earlier import contents

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from builder.bundle.layout import Extent
    from builder.destinations.tree import Tree
    from builder.report import Reporter

__all__ = ["YumPlan", "YumPublished", "YumTarget", "mirror_yum", "publish_yum"]

_FEW = 20
_ALMOST_URL = re.compile(r"(?:https?|s3|file|ftp|davs?)(?::|//)|[^/]*:.*@", re.IGNORECASE)
"""What was meant for a URL, perhaps with a password, and is not to become a folder."""
_OF_URLS = "%:/?#[]@!$&'()*+,;=~"


@dataclass(frozen=True, slots=True, kw_only=True)
class YumTarget:
    place: str
    """A folder, or a URL that takes files."""
    base_url: str = ""
    """Where clients find it, when that is elsewhere."""
    images: bool = False
    prune: bool = False

    @property
    def host(self) -> str:
        """Host and port of a server; empty for a folder."""
        return urlsplit(self.place).netloc.rpartition("@")[2] if "://" in self.place else ""


def publish_yum(
    bundle: Path,
    target: YumTarget,
    *,
    reporter: Reporter,
    settings: AccessSettings | None = None,
    dry_run: bool = False,
) -> YumPublished:
    """Bring the packages and files of a bundle (tar, parts, folder, delta) to a place.

    Raise UsageError, FetchError, StorageError, UnavailableError with everything that could not be
    brought there, VerificationError for a damaged bundle, and IncompleteError for a delta without
    something that the place lacks.
    """
    with ExitStack() as opened:
        reading = open_bundle(bundle)
        opened.callback(reading.close)
        document = LockDocument.inside(reading)
        held = contents(reading)
        tree = opened.enter_context(open_tree(target, settings or AccessSettings(), look=dry_run))
        destination = YumDestination(tree, document.lock, document.layout, images=target.images)
        plan = destination.plan()
        missing = [one for one in plan.moves if one.digest not in held]
        if missing:
            raise lacks(
                reading,
                [one.path for one in missing[:_FEW]],
                f"{len(missing)} files are neither in it nor at {tree.name}",
                hint="a delta is put together first: airseed bundle DELTA --base OLD -o WHOLE",
            )

        def supply(extent: Extent) -> Supply:
            return Supply(sources=(replace(held[extent.digest], state="fetched"),))

        def local(path: str) -> Path:
            return reading.path / path

        if not dry_run:
            unpacked = isinstance(reading, FolderBundle)
            destination.fill(plan, supply, reporter, local=local if unpacked else None)
        return _finished(destination, plan, target, dry_run=dry_run)


def mirror_yum(
    document: LockDocument,
    target: YumTarget,
    *,
    reporter: Reporter,
    settings: AccessSettings,
    dry_run: bool,
) -> YumPublished:
    """Bring the packages and files of a lock to a place, each straight from its source.

    Signatures are checked on the way. Raise as :func:`publish_yum` does.
    """
    with ExitStack() as opened:
        supplier = Supplier(document, opened, ca_bundle=settings.ca_bundle, info=reporter.info)
        tree = opened.enter_context(open_tree(target, settings, look=dry_run))
        destination = YumDestination(tree, document.lock, document.layout, images=target.images)
        plan = destination.plan()
        if not dry_run:
            heads = Heads(supplier, tree)

            def prove() -> None:
                supplier.prove(document.layout, heads.open)

            destination.fill(plan, heads.supply, reporter, prove=prove)
        return _finished(destination, plan, target, dry_run=dry_run)


class Heads:
    """Keep the beginning of each RPM that passes by, to be held against the metadata."""

    def __init__(self, supplier: Supplier, tree: Tree) -> None:
        self._supplier = supplier
        self._tree = tree
        self._heads: dict[str, bytes] = {}

    def supply(self, extent: Extent) -> Supply:
        supply = self._supplier.supply(extent)
        check = supply.check
        if check is None or not isinstance(extent.content, Package):
            return supply

        def look(file: io.BufferedReader) -> None:
            check(file)
            file.seek(0)
            self._heads[extent.path] = read_head(file, where=extent.name)

        return replace(supply, check=look)

    def open(self, path: str) -> io.BufferedReader:
        """Open an RPM that came by, or that the place had; at least its head can be read."""
        if path in self._heads:
            return io.BufferedReader(io.BytesIO(self._heads[path]))
        file = self._tree.open(path)
        if file is None:
            raise FetchError("was there a moment ago", where=f"{self._tree.name}: {path}")
        return file


def _finished(
    destination: YumDestination, plan: YumPlan, target: YumTarget, *, dry_run: bool
) -> YumPublished:
    gone: list[str] = []
    kept: list[str] = []
    if target.prune and not dry_run:
        gone, kept = destination.prune(plan.prune)
    tree = destination.tree
    return YumPublished(
        name=tree.name, url=tree.url, plan=plan, pruned=tuple(gone), kept=tuple(kept)
    )


def open_tree(
    target: YumTarget, settings: AccessSettings, *, look: bool
) -> AbstractContextManager[Tree]:
    """Open a place; ``look`` only at it. Raise UsageError for one of an unknown kind."""
    place, url = target.place, _spelled(target.base_url)
    if url and not url.startswith("file:///"):
        option("--base-url", folder_url, url, expected="https://HOST[:PORT]/PATH")
    kind, mark, _ = place.partition("://")
    match kind.lower() if mark else "":
        case "" if _ALMOST_URL.match(place):
            raise UsageError(
                "is neither a folder nor a URL",
                where=redact(place),
                expected="a folder, http://, https:// or s3://",
                hint="write ./ before a folder of this name",
            )
        case "":
            return FolderTree(Path(place), url, look=look)
        case "file":
            return FolderTree(Path(unquote(urlsplit(place).path)), url, look=look)
        case "http" | "https":
            return _server(_spelled(place), url, settings)
        case "s3":
            return S3Tree(
                place, url=url, ca_bundle=settings.ca_bundle, certificate=settings.certificate
            )
        case _:
            raise UsageError(
                "this kind of place is not known",
                where=redact(place),
                expected="a folder, http://, https:// or s3://",
            )


def _spelled(url: str) -> str:
    """Return a URL as it stands in a .repo file, where a blank would be the end of it."""
    return quote(url.rstrip("/"), safe=_OF_URLS)


def _server(place: str, url: str, settings: AccessSettings) -> WebDavTree:
    parts = urlsplit(place)
    if not parts.hostname or "@" in parts.netloc or parts.query or parts.fragment:
        raise UsageError(
            "is not the URL of a folder",
            where=redact(place),
            expected="https://HOST[:PORT]/PATH",
            hint="logins belong in docker's config.json or in --authfile, or --login asks for them",
        )
    credentials = Credentials.load(os.environ, authfile=settings.authfile, logins=settings.logins)
    login = credentials.find(parts.netloc)
    client = Client(ca_bundle=settings.ca_bundle, certificate=settings.certificate)
    return WebDavTree(client, place, url=url, authorization=login.basic if login else "")

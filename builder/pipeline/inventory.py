"""``inventory``: write down, by digest, what the other side of the gap has already.

Nothing is taken from memory: a registry is asked for each blob, files are hashed. So what a delta
leaves out is there when the inventory is made, whatever was deleted or half copied before.
"""

from __future__ import annotations

import functools
import itertools
import os
from typing import TYPE_CHECKING

from builder import disk, threads
from builder.bundle.checksums import listed_items
from builder.bundle.hashing import hash_all
from builder.bundle.reader import is_unpacked, open_bundle
from builder.errors import AirseedError, FetchError, UsageError, VerificationError
from builder.formats import inventory as inventory_format
from builder.http import Client, StatusError
from builder.model.digest import Digest
from builder.model.inventory import Holding, Inventory
from builder.model.reference import Reference
from builder.oci.auth import Credentials
from builder.oci.connection import RegistryConnection
from builder.oci.listing import Lister
from builder.oci.manifest import OciIndex, OciManifest, parse
from builder.oci.pull import Puller
from builder.rpm.header import read_head
from builder.rpm.signature import read_nevra

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from builder.report import Progress, Reporter

_ATONCE = 8
_BLOBS = "images/blobs/sha256/"
_NOT_FOUND = 404
_MOST_MANIFESTS = 500_000


def take(
    *,
    reporter: Reporter,
    output: Path,
    registries: Sequence[str] = (),
    repositories: Sequence[str] = (),
    folders: Sequence[Path] = (),
    ca_bundle: Path | None = None,
    plain_http: Iterable[str] = (),
    force: bool = False,
) -> tuple[Holding, ...]:
    """Look into registries, folders with RPMs, and bundles, and write one inventory of all.

    One that is there already is replaced with ``force`` only.

    ``registries`` are ``HOST[:PORT][/PREFIX]``; ``repositories`` name what to look at in them,
    where they don't list what they have; a folder may be any with RPMs below it, or a bundle.

    Raises:
        UsageError: a registry has no such name, or does not list its repositories; or there is
            something else than an inventory already.
        FetchError: a registry does not answer.
        StorageError: a folder cannot be read, or the file not be written.
        VerificationError: a file is not a bundle.
    """
    disk.claim(output, force=force, magic=inventory_format.HEAD, what="an earlier inventory")
    holdings: set[Holding] = set()
    for folder in folders:
        is_bundle = not folder.is_dir() or is_unpacked(folder)
        holdings.update(_bundle(folder, reporter) if is_bundle else _packages(folder, reporter))
    if registries:
        with Client(ca_bundle=ca_bundle, pool=_ATONCE) as client:
            connection = RegistryConnection(
                client, Credentials.load(os.environ), plain_http_hosts=plain_http
            )
            for registry in registries:
                holdings.update(
                    _Survey(connection, registry, reporter, client.cancel).all(repositories)
                )
    if not holdings:
        raise UsageError(
            "nothing was found to list",
            where=", ".join([*map(str, folders), *registries]),
            hint="if the other side has nothing, make a whole bundle, without --have",
        )
    inventory = Inventory(holdings=tuple(sorted(holdings)))
    disk.put(output, inventory_format.write(inventory))
    return inventory.holdings


def _bundle(path: Path, reporter: Reporter) -> Iterator[Holding]:
    """Return what a bundle has and is right; what is damaged counts as missing."""
    with open_bundle(path) as bundle:
        items = listed_items(bundle)
        with reporter.progress(path.name, sum(item.size for item in items)) as progress:
            faults = hash_all(items, progress)
    for fault in faults:
        reporter.warn(f"{path}: {fault}", hint="it is treated as missing")
    wrong = {fault.where for fault in faults}
    for item in items:
        if item.path not in wrong:
            blob = item.path.startswith(_BLOBS)
            rpm = item.path.endswith(".rpm")
            name = item.path.rpartition("/")[2].removesuffix(".rpm") if rpm else item.path
            kind = "blob" if blob else "rpm" if rpm else "file"
            yield Holding(kind=kind, name=name, digest=item.digest, size=item.size)  # type: ignore[arg-type] # one of KINDS


def _packages(folder: Path, reporter: Reporter) -> Iterator[Holding]:
    try:
        paths = sorted(path for path in folder.rglob("*.rpm") if path.is_file())
        total = sum(path.stat().st_size for path in paths)
    except OSError as error:
        raise disk.failure(error, folder) from error
    if not paths:
        reporter.warn(f"{folder}: there are no RPMs below it")
    with reporter.progress(str(folder), total) as progress:
        packages = threads.each(paths, lambda path: _package(path, progress), most=_ATONCE)
        for path, package in zip(paths, packages, strict=True):
            if isinstance(package, AirseedError):
                reporter.warn(f"{path}: {package.fault.what}", hint="it is treated as missing")
            else:
                yield package


def _package(path: Path, progress: Progress) -> Holding | AirseedError:
    try:
        with disk.opened(path) as file:
            nevra = read_nevra(read_head(file, where=path.name), where=path.name)
            file.seek(0)
            digest = Digest.of_file(file)
            size = file.tell()
    except VerificationError as error:
        return error
    except OSError as error:
        return disk.failure(error, path)
    progress.advance(size)
    return Holding(kind="rpm", name=str(nevra), digest=digest, size=size)


class _Survey:
    def __init__(
        self,
        connection: RegistryConnection,
        registry: str,
        reporter: Reporter,
        cancel: Callable[[], None],
    ) -> None:
        self._each = functools.partial(threads.each, most=_ATONCE, cancel=cancel)
        self._lister = Lister(connection)
        self._puller = Puller(connection)
        self._reporter = reporter
        self._asked = itertools.count()
        self._host, _, self._prefix = registry.rstrip("/").partition("/")
        try:
            Reference.parse(f"{registry.rstrip('/')}/x")
        except ValueError as error:
            raise UsageError(
                "this is neither a file or folder nor a registry",
                where=registry,
                expected="a path that is there, or HOST[:PORT][/PREFIX]",
            ) from error

    def all(self, names: Sequence[str]) -> set[Holding]:
        """Return everything that it has below the prefix, or in the repositories named."""
        repositories = [self._named(name) for name in names] or self._listed()
        everything: set[Holding] = set()
        asked: dict[tuple[str, Digest], None] = {}
        with self._reporter.progress(
            f"repositories of {self._host}", len(repositories), unit="repositories"
        ) as progress:

            def look(repository: str) -> tuple[list[Holding], list[Digest]]:
                seen = self._repository(repository)
                progress.advance(1)
                return seen

            for repository, (holdings, blobs) in zip(
                repositories, self._each(repositories, look), strict=True
            ):
                everything.update(holdings)
                asked.update(dict.fromkeys((repository, digest) for digest in blobs))
        title = f"blobs of {self._host}"
        with self._reporter.progress(title, len(asked), unit="blobs") as progress:

            def ask(pair: tuple[str, Digest]) -> int | None:
                size = self._lister.size_of(*pair)
                progress.advance(1)
                return size

            sizes = zip(asked, self._each(asked, ask), strict=True)
            everything.update(
                Holding(kind="blob", name=repository, digest=digest, size=size)
                for (repository, digest), size in sizes
                if size is not None
            )
        return everything

    def _count(self, repository: str) -> None:
        """Count the manifests that are asked for; raise FetchError where that has no end."""
        if next(self._asked) >= _MOST_MANIFESTS:
            raise FetchError(
                "the registry names manifests without end",
                where=repository,
                expected=f"at most {_MOST_MANIFESTS:,} in all",
                hint="name the repositories that matter with --repository",
            )

    def _named(self, name: str) -> str:
        prefix = f"{self._prefix}/" if self._prefix else ""
        return f"{self._host}/{prefix}{name.strip('/')}"

    def _listed(self) -> list[str]:
        try:
            paths = self._lister.repositories(self._host)
        except StatusError as error:
            raise UsageError(
                f"the registry does not list its repositories (status {error.status})",
                where=self._host,
                hint="name them with --repository, once for each",
            ) from error
        below = f"{self._prefix}/" if self._prefix else ""
        return [f"{self._host}/{path}" for path in sorted(paths) if path.startswith(below)]

    def _repository(self, repository: str) -> tuple[list[Holding], list[Digest]]:
        """Return images and manifests of a repository, and the blobs that they speak of."""
        holdings: list[Holding] = []
        blobs: dict[Digest, None] = {}
        seen: set[Digest] = set()
        waiting: list[tuple[str, str]] = [
            (tag, f"{repository}:{tag}") for tag in self._lister.tags(repository)
        ]
        while waiting:
            reference, name = waiting.pop()
            self._count(repository)
            try:
                raw = self._puller.manifest(repository, reference)
                document = parse(raw.content, raw.media_type, where=f"{repository}:{reference}")
            except StatusError as error:
                if error.status != _NOT_FOUND:
                    raise
                continue  # a platform that was never pushed
            except VerificationError as error:
                self._reporter.warn(
                    str(error), hint="not a kind of image that airseed knows; it is left out"
                )
                continue
            size = len(raw.content)
            if name:
                holdings.append(Holding(kind="image", name=name, digest=raw.digest, size=size))
            if raw.digest in seen:
                continue
            seen.add(raw.digest)
            holdings.append(Holding(kind="blob", name=repository, digest=raw.digest, size=size))
            if isinstance(document, OciIndex):
                waiting += [(str(entry.digest), "") for entry in document.manifests]
            else:
                blobs.update(dict.fromkeys(_parts(document)))
        return holdings, list(blobs)


def _parts(manifest: OciManifest) -> Iterator[Digest]:
    yield manifest.config.digest
    for layer in manifest.layers:
        yield layer.digest

"""What airseed published, written down in the registry itself; and what of it may go again.

Each cluster has a small OCI artifact, ``[PREFIX/]airseed-published:CLUSTER``: all names that its
bundles ever had there, with what they meant. A name goes only if that artifact has it, no lock that
is published now and no other cluster's artifact has it, and it still means what was published.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from builder import strict_json
from builder.destinations.registry import signatures_of
from builder.errors import FetchError
from builder.http import StatusError
from builder.model.artifact import INDEX_TYPES
from builder.model.digest import Digest
from builder.oci.listing import Lister
from builder.oci.scope import Scope

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from builder.destinations.registry import Target
    from builder.model.registry import Registry
    from builder.oci.push import Pusher

Names = dict[str, frozenset[Digest]]
"""``PATH:TAG`` without the host, and all that it may have meant."""
_PATH = "airseed-published"
_KINDS = "application/vnd.airseed.published."
_KIND = f"{_KINDS}v1+json"
_EMPTY_KIND = "application/vnd.oci.empty.v1+json"
_MANIFEST_KIND = "application/vnd.oci.image.manifest.v1+json"
_EMPTY = b"{}"
_LARGEST = 16 << 20
_MOST_RECORDS = 10_000
_MOST_NAMES = 1_000_000
"""Names in all records of a registry together."""
_NO_DELETE_OF_TAGS = {400, 404, 405, 501}
_NO_DELETE = "the registry removes nothing (docker's: storage.delete.enabled: true)"
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Stale:
    """A name that airseed gave once and no lock has any more."""

    name: str
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    name: str
    kept: str = ""
    """Why it is still there."""


def names_of(targets: Iterable[Target]) -> Names:
    """Return all names that targets get in their registry."""
    names: Names = {}
    for target in targets:
        image, path = target.image, target.scope.path
        names[f"{path}:{target.tag}"] = frozenset({image.digest, image.manifests[0].digest})
        names |= {name: frozenset({digest}) for name, digest in signatures_of(target)}
    return names


class PublishedRecord:
    """The artifact of one cluster; every method raises FetchError."""

    def __init__(self, pusher: Pusher, registry: Registry, cluster: str) -> None:
        path = f"{registry.prefix}/{_PATH}" if registry.prefix else _PATH
        self._scope = Scope(host=registry.host, path=path, actions="pull,push")
        self._tag = _UNSAFE.sub("-", cluster)[:100].lstrip("-.") or "cluster"
        self._pusher = pusher
        self._before: Names | None = None
        self._lister = Lister(pusher.connection)

    def add(self, names: Names) -> None:
        """Write down what is about to be published, beside what was before."""
        known = self._read(self._tag)
        merged = {
            name: known.get(name, frozenset()) | names.get(name, frozenset())
            for name in {*known, *names}
        }
        if merged != known:
            self._write(merged)

    def had(self, name: str) -> frozenset[Digest]:
        """Return what was published under a name before."""
        if self._before is None:  # it is asked for every signature that is not ours
            self._before = self._read(self._tag)
        return self._before.get(name, frozenset())

    def stale(self, wanted: Names) -> list[Stale]:
        """Return what may go: names that only this cluster had, as far as they mean the same."""
        tags = self._lister.tags(self._scope.repository)
        others = self._names_of_others(tags)
        found = []
        for name, digests in self._read(self._tag).items():
            if name not in wanted and name not in others:
                scope, tag = self._at(name)
                digest = self._pusher.tagged(scope, tag)
                if digest in digests:
                    found.append(Stale(name=name, digest=digest))
        return sorted(found)

    def _names_of_others(self, tags: Collection[str]) -> set[str]:
        """Return what other clusters have there; raise FetchError where that has no end."""
        names: set[str] = set()
        most = f"at most {_MOST_RECORDS:,} records with {_MOST_NAMES:,} names in all"
        for tag in tags:
            if tag != self._tag:
                names.update(self._read(tag))
            if len(tags) > _MOST_RECORDS or len(names) > _MOST_NAMES:
                raise FetchError(
                    "the registry has records of what airseed published without end",
                    where=self._scope.repository,
                    expected=most,
                    hint="remove the tags of clusters that no longer exist",
                )
        return names

    def prune(self, stale: Collection[Stale]) -> list[Pruned]:
        """Remove names, and nothing that another name of the registry means, too."""
        gone = {one.name for one in stale}
        done = [self._remove(one, gone) for one in stale]
        removed = {one.name for one in done if not one.kept}
        known = self._read(self._tag)
        if removed:
            self._write({name: known[name] for name in known if name not in removed})
        return done

    def _remove(self, stale: Stale, gone: Collection[str]) -> Pruned:
        scope, tag = self._at(stale.name)
        scope = replace(scope, actions="pull,push,delete")
        if self._pusher.tagged(scope, tag) != stale.digest:  # people take time to say yes
            return Pruned(name=stale.name, kept="it means something else by now")
        try:
            self._pusher.delete(scope, tag)
        except StatusError as error:
            if error.status not in _NO_DELETE_OF_TAGS:
                return Pruned(name=stale.name, kept=error.fault.what)
        else:
            return Pruned(name=stale.name)
        # only what a tag means can be removed here, with all of its tags
        for other in self._lister.tags(scope.repository):
            if f"{scope.path}:{other}" not in gone and self._means(scope, other, stale.digest):
                return Pruned(name=stale.name, kept=f"{other} means the same")
        try:
            self._pusher.delete(scope, str(stale.digest))
        except StatusError as error:
            if error.status != HTTPStatus.NOT_FOUND:  # gone with a tag before
                never = error.status == HTTPStatus.METHOD_NOT_ALLOWED
                return Pruned(name=stale.name, kept=_NO_DELETE if never else error.fault.what)
        return Pruned(name=stale.name)

    def _means(self, scope: Scope, tag: str, digest: Digest) -> bool:
        """Tell whether a tag needs a manifest: it is what the tag means, or a part of that."""
        content = self._pusher.manifest(scope, tag)
        if content is None:
            return False
        if Digest.of(content) == digest:
            return True
        try:
            document: Any = strict_json.load(content)
            parts = document.get("manifests") or []
            return document.get("mediaType", INDEX_TYPES[0]) in INDEX_TYPES and any(
                part["digest"] == str(digest) for part in parts
            )
        except (ValueError, TypeError, LookupError, AttributeError):
            return True  # whatever it is, it stays

    def _at(self, name: str) -> tuple[Scope, str]:
        path, _, tag = name.rpartition(":")
        return replace(self._scope, path=path), tag

    def _read(self, tag: str) -> Names:
        content = self._pusher.manifest(self._scope, tag)
        if content is None:
            return {}
        try:
            (layer,) = strict_json.load(content)["layers"]
            kind = str(layer["mediaType"])
            if kind != _KIND and kind.startswith(_KINDS):
                raise FetchError(
                    "another release of airseed wrote this",
                    where=f"{self._scope.repository}:{tag}",
                    hint="use the airseed that wrote it, or a newer one",
                )
            names = self._blob(Digest.parse(layer["digest"])) if kind == _KIND else b""
            listed: Mapping[str, list[str]] = strict_json.load(names)["names"]
            return {name: frozenset(map(Digest.parse, each)) for name, each in listed.items()}
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise FetchError(
                "this is not a record of airseed's",
                where=f"{self._scope.repository}:{tag}",
                hint="remove the tag; airseed then knows of nothing that it may prune",
            ) from error

    def _blob(self, digest: Digest) -> bytes:
        """Return a blob, and nothing if it is not what its digest says."""
        reply = self._pusher.connection.get(self._scope, f"blobs/{digest}", limit=_LARGEST)
        return reply.content if Digest.of(reply.content) == digest else b""

    def _write(self, names: Names) -> None:
        self._before = None
        listed = {name: sorted(map(str, digests)) for name, digests in sorted(names.items())}
        content = json.dumps({"names": listed}, indent=1).encode()
        for blob in (_EMPTY, content):
            self._pusher.put_blob(self._scope, blob)
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST_KIND,
            "artifactType": _KIND,
            "config": _described(_EMPTY_KIND, _EMPTY),
            "layers": [_described(_KIND, content)],
        }
        self._pusher.put_manifest(
            self._scope, self._tag, _MANIFEST_KIND, json.dumps(manifest).encode()
        )


def _described(kind: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "digest": str(Digest.of(content)), "size": len(content)}

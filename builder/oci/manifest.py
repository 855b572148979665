"""Indexes and manifests: strict readers that keep the raw bytes, and the choice of a platform.

Formats: OCI image-spec 1.1 (image-index.md, manifest.md, descriptor.md) and docker's image
manifest version 2, schema 2. The bytes are never written anew: their digest is the image.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from builder import strict_json
from builder.errors import Fault, IncompleteError, VerificationError, few
from builder.model.artifact import CONFIG_TYPES, INDEX_TYPES, LAYER_TYPES, MANIFEST_TYPES
from builder.model.digest import Digest
from builder.model.platform import Platform

if TYPE_CHECKING:
    from collections.abc import Iterable

MANIFEST_LIMIT = 4 << 20
"""Bytes of a manifest or index at most: what registries must take (distribution-spec, 1.1)."""
_FOREIGN = ("foreign", "nondistributable")
_OTHERS = {
    "+encrypted": "it is encrypted, and no node has the key",
    ".helm.": "it is a Helm chart: `helm template` renders manifests, which extra.manifests takes",
    ".nydus.": "only nodes with nydus unpack it; upstream may have it in the usual form, too",
    ".oci.empty.": "it is an artifact that is no image, such as a signature or a policy",
    ".wasm": "it is a program for WebAssembly, which no runtime here starts",
}
"""Advice by what the media types of other things have in them."""
_SCHEMA1 = "application/vnd.docker.distribution.manifest.v1"
_MOST_SHOWN = 4
_VAGUE = ("", "application/json", "application/octet-stream", "text/plain")
_ATTESTATION = "vnd.docker.reference.type"
_LARGEST = (1 << 63) - 1
_DOCUMENT = ("schemaVersion", "mediaType", "config", "layers", "manifests")
_DESCRIPTOR = ("mediaType", "digest", "size", "platform", "annotations", "urls")
_PLATFORM = ("os", "architecture", "variant")
_VARIANTS = {"arm": ("v8", "v7", "v6", "v5"), "amd64": ("v4", "v3", "v2", "v1"), "arm64": ("v8",)}
"""Newest first: a processor runs its own variant and all that stand behind it."""
_USUAL = {"arm": "v7", "amd64": "v1", "arm64": "v8"}
"""What a platform without variant means (containerd's platforms/defaults)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """Point to content: what it is, its digest and its size."""

    media_type: str
    digest: Digest
    size: int
    platform: Platform | None = None
    annotations: dict[str, str] = field(default_factory=dict, hash=False)

    @property
    def attests(self) -> bool:
        """Tell whether this is not an image but a statement about one (buildkit's provenance)."""
        unknown = self.platform is not None and self.platform.os == "unknown"
        return unknown or _ATTESTATION in self.annotations


@dataclass(frozen=True, slots=True, kw_only=True)
class OciIndex:
    media_type: str
    content: bytes = field(repr=False)
    digest: Digest
    manifests: tuple[Descriptor, ...]
    unreadable: tuple[Fault, ...] = ()
    """What of its entries cannot be read; the others are as good as ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OciManifest:
    """Hold one platform's image manifest and its bytes; layers lowest first."""

    media_type: str
    content: bytes = field(repr=False)
    digest: Digest
    config: Descriptor
    layers: tuple[Descriptor, ...]


def parse(
    content: bytes, media_type: str | None = None, *, where: str = ""
) -> OciIndex | OciManifest:
    """Read an index or manifest of at most 4 MiB.

    ``media_type`` is what the registry or the descriptor said; a document that names another one
    is refused, as is one that could be read as both kinds (CVE-2021-41190). ``where`` begins the
    message, else the digest does. Raise VerificationError with all faults.
    """
    digest = Digest.of(content)
    where = where or str(digest)
    if len(content) > MANIFEST_LIMIT:
        raise VerificationError(
            f"the manifest has {len(content):,} bytes",
            where=where,
            expected=f"at most {MANIFEST_LIMIT:,}",
        )
    declared = (media_type or "").partition(";")[0].strip()
    try:
        document = strict_json.load(content)
    except ValueError as error:
        page = declared == "text/html" or content.lstrip()[:1] == b"<"
        raise VerificationError(
            str(error),
            where=where,
            hint="this looks like a login or error page of a proxy or portal" if page else None,
        ) from error
    reader = _Reader(where)
    kind = reader.kind(document, declared)
    parsed: OciIndex | OciManifest | None = None
    if kind in INDEX_TYPES:
        manifests, unreadable = reader.entries(document)
        parsed = OciIndex(
            media_type=kind,
            content=content,
            digest=digest,
            manifests=manifests,
            unreadable=unreadable,
        )
    elif kind in MANIFEST_TYPES:
        config = reader.descriptor(document.get("config"), "config", CONFIG_TYPES)
        layers = reader.descriptors(document, "layers", LAYER_TYPES)
        if config is not None:
            parsed = OciManifest(
                media_type=kind, content=content, digest=digest, config=config, layers=layers
            )
    if reader.faults or parsed is None:
        raise reader.error()
    return parsed


def attachment(content: bytes, *, where: str) -> OciManifest:
    """Read the manifest of what is attached to an image, such as its signatures.

    Configuration and layers may be of any type. Raise VerificationError with all faults.
    """
    if len(content) > MANIFEST_LIMIT:
        raise VerificationError(f"the manifest has {len(content):,} bytes", where=where)
    try:
        document = strict_json.load(content)
    except ValueError as error:
        raise VerificationError(str(error), where=where) from error
    reader = _Reader(where)
    kind = reader.kind(document, "")
    if kind in INDEX_TYPES:
        reader.fault("", "is an index", "a manifest")
    if reader.faults:
        raise reader.error()
    config = reader.descriptor(document.get("config"), "config", ())
    layers = reader.descriptors(document, "layers")
    if reader.faults or config is None:
        raise reader.error()
    return OciManifest(
        media_type=kind, content=content, digest=Digest.of(content), config=config, layers=layers
    )


def choose(index: OciIndex, platform: Platform, *, where: str = "") -> Descriptor:
    """Choose the manifest for a platform: the nearest variant that runs there, first of equals.

    Attestations and nested indexes are not choices. Raise IncompleteError with what there is.
    """
    images = [
        entry
        for entry in index.manifests
        if entry.platform is not None and not entry.attests and entry.media_type in MANIFEST_TYPES
    ]
    for variant in runs(platform):
        wanted = replace(platform, variant=variant)
        for entry in images:
            if entry.platform and usual(entry.platform) == wanted:
                return entry
    nameless = [entry for entry in index.manifests if entry.platform is None]
    if nameless and not images:
        digests = ", ".join(str(entry.digest) for entry in nameless[:_MOST_SHOWN])
        raise IncompleteError(
            "the image's index does not say which platforms its manifests are for",
            where=where or str(index.digest),
            expected=f"an entry for {platform}",
            hint=f"ask for the one that is for {platform} by its digest (NAME@DIGEST): {digests}",
            faults=index.unreadable,
        )
    offered = ", ".join(dict.fromkeys(str(entry.platform) for entry in images)) or "nothing"
    raise IncompleteError(
        f"the image is not available for {platform}",
        where=where or str(index.digest),
        expected=f"one of what it offers: {offered}",
        hint="remove the platform from cluster.yaml, or use another image",
        faults=index.unreadable,
    )


def platform_of(config: bytes, *, where: str = "") -> Platform:
    """Read the platform from an image's configuration; raise VerificationError."""
    where = where or str(Digest.of(config))
    try:
        document = strict_json.load(config)
    except ValueError as error:
        raise VerificationError(str(error), where=where) from error
    reader = _Reader(where)
    platform = reader.platform(document, "")
    if platform is None or reader.faults:
        raise reader.error()
    return platform


def misread(item: dict[str, Any], known: Iterable[str]) -> str | None:
    """Return a key that runtimes take for a known one: Go's reader looks past upper case."""
    folded = {key.casefold() for key in known}
    return next((key for key in item if key not in known and key.casefold() in folded), None)


def usual(platform: Platform) -> Platform:
    """Return a platform with the variant that it means where it says none."""
    return replace(platform, variant=platform.variant or _USUAL.get(platform.architecture, ""))


def runs(platform: Platform) -> tuple[str, ...]:
    """Return the variants that run on a platform, best first."""
    variant = usual(platform).variant
    known = _VARIANTS.get(platform.architecture, ())
    return known[known.index(variant) :] if variant in known else (variant,)


class _Reader:
    """Read parts of a document and collect what is wrong with them."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.faults: list[Fault] = []
        self.hint: str | None = None

    def error(self) -> VerificationError:
        first = self.faults[0]
        return VerificationError(
            f"the image cannot be used: {few(self.faults, 1)}",
            where=self.where,
            hint=first.hint,
            faults=self.faults,
        )

    def fault(self, where: str, what: str, expected: str | None = None, hint: str = "") -> None:
        self.faults.append(Fault(where=where, what=what, expected=expected, hint=hint or None))

    def spelled(self, item: dict[str, Any], at: str, known: Iterable[str]) -> bool:
        """Tell whether runtimes see what is seen here; note the key by which they would not."""
        key = misread(item, known)
        if key is not None:
            right = next(one for one in known if one.casefold() == key.casefold())
            self.fault(at, f"has the key {_shown(key)}, which runtimes take for {right}", right)
        return key is None

    def kind(self, document: Any, declared: str) -> str:
        """Decide what a document is; note a fault and give "" when that is unclear."""
        if not isinstance(document, dict):
            self.fault("", f"the document is {_name(document)}", "an object")
            return ""
        self.spelled(document, "", _DOCUMENT)
        version, named = document.get("schemaVersion"), document.get("mediaType", "")
        if (version == 1 and version is not True) or declared.startswith(_SCHEMA1):
            self.fault(
                "schemaVersion",
                "this is a schema 1 manifest, which nothing loads any more",
                "2",
                "pull and push the image once with a current docker or skopeo, which convert it",
            )
            return ""
        if version != 2 or isinstance(version, bool):  # noqa: PLR2004 -- the format's own number
            self.fault("schemaVersion", f"is {_shown(version)}", "2")
        if not isinstance(named, str):
            self.fault("mediaType", f"is {_name(named)}", "a string")
            return ""
        lists, layers = "manifests" in document, "layers" in document or "config" in document
        if lists and layers:
            self.fault("", "has the parts of an index and of a manifest", "one of them")
            return ""
        guess = INDEX_TYPES[0] if lists else MANIFEST_TYPES[0] if layers else ""
        kind = named or ("" if declared in _VAGUE else declared) or guess
        if declared not in _VAGUE and kind != declared:
            self.fault("mediaType", f"is {_shown(named)}", declared)
        if kind not in (INDEX_TYPES if lists else MANIFEST_TYPES if layers else ()):
            self.fault("mediaType", f"is {_shown(kind)}", "an image index or manifest")
            return ""
        return kind

    def entries(self, document: dict[str, Any]) -> tuple[tuple[Descriptor, ...], tuple[Fault, ...]]:
        """Read the entries of an index, each for itself; return what of them cannot be read, too.

        One without a platform that can be read stays, for who wants all of them.
        """
        single = _Reader(self.where)
        entries = single.descriptors(document, "manifests")
        if not isinstance(document.get("manifests"), list):
            self.faults += single.faults
        return entries, tuple(single.faults)

    def descriptors(
        self, document: dict[str, Any], key: str, kinds: tuple[str, ...] = ()
    ) -> tuple[Descriptor, ...]:
        items = document.get(key)
        if not isinstance(items, list):
            self.fault(key, f"is {_name(items)}", "a list")
            return ()
        entries = [self.descriptor(item, f"{key}[{n}]", kinds) for n, item in enumerate(items)]
        return tuple(item for item in entries if item is not None)

    def descriptor(self, item: Any, at: str, kinds: tuple[str, ...]) -> Descriptor | None:
        """Read one descriptor of one of these media types (any, if there are none)."""
        if not isinstance(item, dict):
            self.fault(at, f"is {_name(item)}", "an object")
            return None
        if not self.spelled(item, at, _DESCRIPTOR):
            return None
        kind, size = item.get("mediaType"), item.get("size")
        digest = self._digest(item.get("digest"), f"{at}.digest")
        if not isinstance(kind, str):
            self.fault(f"{at}.mediaType", f"is {_name(kind)}", "a string")
            return None
        if item.get("urls") or any(word in kind for word in _FOREIGN):
            self.fault(
                at,
                "is a foreign layer, which its registry does not hold",
                hint="only Windows images have such layers; use another platform or image",
            )
        elif kinds and kind not in kinds:
            advice = next((advice for word, advice in _OTHERS.items() if word in kind), "")
            self.fault(f"{at}.mediaType", f"is {_shown(kind)}", "part of a container image", advice)
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _LARGEST:
            self.fault(f"{at}.size", f"is {_shown(size)}", "a number of bytes")
            return None
        platform = self.platform(item["platform"], f"{at}.platform") if "platform" in item else None
        annotations = self._annotations(item.get("annotations"), f"{at}.annotations")
        if digest is None:
            return None
        return Descriptor(
            media_type=kind, digest=digest, size=size, platform=platform, annotations=annotations
        )

    def platform(self, item: Any, at: str) -> Platform | None:
        if not isinstance(item, dict):
            self.fault(at, f"is {_name(item)}", "an object")
            return None
        if not self.spelled(item, at, _PLATFORM):
            return None
        system, processor = item.get("os"), item.get("architecture")
        variant = item.get("variant") or ""
        if not (
            isinstance(system, str) and isinstance(processor, str) and isinstance(variant, str)
        ):
            self.fault(at, "names no platform", "os, architecture and perhaps variant as strings")
            return None
        try:
            return Platform.parse(f"{system}/{processor}{f'/{variant}' if variant else ''}")
        except ValueError as error:
            self.fault(at, str(error))
            return None

    def _digest(self, item: Any, at: str) -> Digest | None:
        if not isinstance(item, str):
            self.fault(at, f"is {_name(item)}", "a digest")
            return None
        try:
            return Digest.parse(item)
        except ValueError:
            self.fault(at, f"is {_shown(item)}", "sha256: and 64 lower-case hex digits")
            return None

    def _annotations(self, item: Any, at: str) -> dict[str, str]:
        if item is None:
            return {}
        if not isinstance(item, dict) or not all(isinstance(text, str) for text in item.values()):
            self.fault(at, "is not an object of strings")
            return {}
        return item


def _name(item: Any) -> str:
    """Say what kind of JSON value something is."""
    if item is None:
        return "missing"
    if isinstance(item, bool):
        return "true or false"
    if isinstance(item, list):
        return "a list"
    if isinstance(item, dict):
        return "an object"
    return "a string" if isinstance(item, str) else "a number"


def _shown(item: Any) -> str:
    """Show a JSON value in a message, not longer than a line."""
    if isinstance(item, str):
        return repr(item[:80]) if item else "missing"
    if isinstance(item, int | float) and not isinstance(item, bool):
        return str(item)
    return _name(item)

"""Made-up container images: indexes, manifests, configs and layers that docker can load.

Everything is a pure function of the recipe, so digests are the same wherever an image is made.
Images of the ``docker`` era are typed as schema 2, those of the ``oci`` era as OCI, with the
attestations that newer builders add.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from builder.lab.random_bytes import RandomFile, program
from builder.model.artifact import INDEX_TYPES, MANIFEST_TYPES
from builder.model.digest import Digest

if TYPE_CHECKING:
    from pathlib import Path

    from builder.lab.build_cache import BuildCache

Era = Literal["docker", "oci"]
_OCI_INDEX, _DOCKER_INDEX = INDEX_TYPES
_OCI_MANIFEST, _DOCKER_MANIFEST = MANIFEST_TYPES
_CONFIG_TYPES: dict[Era, str] = {
    "docker": "application/vnd.docker.container.image.v1+json",
    "oci": "application/vnd.oci.image.config.v1+json",
}
_LAYER_TYPES: dict[Era, str] = {
    "docker": "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "oci": "application/vnd.oci.image.layer.v1.tar+gzip",
}
_CREATED = "2021-03-01T00:00:00Z"
_MTIME = 1614556800
_STATEMENT = "application/vnd.in-toto+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecipe:
    name: str
    """What its own layer is filled from, such as ``kube-proxy:v1``; not the registry."""
    platforms: tuple[str, ...] = ("linux/amd64",)
    """``os/architecture[/variant]``, with ``@os.version`` where Windows wants it."""
    size: int = 1 << 16
    """Bytes of the own layer of the first platform; others are an eighth of it."""
    bases: tuple[tuple[str, int], ...] = ()
    """Names and sizes of the layers below, shared by all images that name them."""
    era: Era = "docker"
    index: bool = True
    """Whether there is an index over the platforms; without one, only the first is made."""
    attestations: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltLayer:
    digest: Digest
    size: int
    diff: str
    """Digest of the layer before it was compressed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltImage:
    digest: Digest
    manifests: dict[Digest, str]
    blobs: frozenset[Digest]


class ImageMaker:
    """Make images into a folder of blobs, once each."""

    def __init__(self, build_cache: BuildCache, blobs: Path) -> None:
        self._build_cache = build_cache
        self._blobs = blobs
        blobs.mkdir(parents=True, exist_ok=True)

    def make(self, recipe: ImageRecipe) -> BuiltImage:
        manifests: dict[Digest, str] = {}
        blobs: set[Digest] = set()
        entries = []
        platforms = recipe.platforms if recipe.index else recipe.platforms[:1]
        for platform in platforms:
            entry, used = self._manifest(recipe, platform)
            manifests[Digest.parse(entry["digest"])] = entry["mediaType"]
            blobs |= used
            entries.append(entry)
        if recipe.attestations:
            for subject in tuple(entries):
                entry, used = self._attestation(subject)
                manifests[Digest.parse(entry["digest"])] = entry["mediaType"]
                blobs |= used
                entries.append(entry)
        top = entries[0]
        if recipe.index:
            kind = _DOCKER_INDEX if recipe.era == "docker" else _OCI_INDEX
            document = {"schemaVersion": 2, "mediaType": kind, "manifests": entries}
            top = self._document(document, kind)
            manifests[Digest.parse(top["digest"])] = kind
        digest = Digest.parse(top["digest"])
        return BuiltImage(digest=digest, manifests=manifests, blobs=frozenset(blobs))

    def put(self, content: bytes) -> Digest:
        """Keep bytes as a blob; return their digest."""
        digest = Digest.of(content)
        path = self._blobs / digest.hex
        if not path.exists():
            part = path.with_suffix(".part")
            part.write_bytes(content)
            part.rename(path)
        return digest

    def _document(self, value: Any, kind: str) -> dict[str, Any]:
        content = json.dumps(value, indent=3).encode()
        return {"mediaType": kind, "size": len(content), "digest": str(self.put(content))}

    def _manifest(self, recipe: ImageRecipe, platform: str) -> tuple[dict[str, Any], set[Digest]]:
        """Make one platform's manifest; return its entry in an index and the blobs it uses."""
        first = platform == recipe.platforms[0]
        shrunk = 1 if first else 8
        layers = [
            self._layer(f"base {name}", platform, size // shrunk) for name, size in recipe.bases
        ]
        layers.append(self._layer(recipe.name, platform, recipe.size // shrunk))
        config = self._document(_config(recipe, platform, layers), _CONFIG_TYPES[recipe.era])
        kind = _DOCKER_MANIFEST if recipe.era == "docker" else _OCI_MANIFEST
        described = [
            {
                "mediaType": _LAYER_TYPES[recipe.era],
                "size": layer.size,
                "digest": str(layer.digest),
            }
            for layer in layers
        ]
        manifest = {"schemaVersion": 2, "mediaType": kind, "config": config, "layers": described}
        entry = {**self._document(manifest, kind), "platform": _platform(platform)}
        return entry, {layer.digest for layer in layers} | {Digest.parse(config["digest"])}

    def _attestation(self, subject: dict[str, Any]) -> tuple[dict[str, Any], set[Digest]]:
        """Make what BuildKit puts beside a manifest: provenance, on an unknown platform."""
        statement = self._document({"_type": "https://in-toto.io/Statement/v0.1"}, _STATEMENT)
        config = self._document({"architecture": "unknown", "os": "unknown"}, _CONFIG_TYPES["oci"])
        manifest = {
            "schemaVersion": 2,
            "mediaType": _OCI_MANIFEST,
            "config": config,
            "layers": [statement],
        }
        entry = {
            **self._document(manifest, _OCI_MANIFEST),
            "annotations": {
                "vnd.docker.reference.digest": subject["digest"],
                "vnd.docker.reference.type": "attestation-manifest",
            },
            "platform": {"architecture": "unknown", "os": "unknown"},
        }
        return entry, {Digest.parse(statement["digest"]), Digest.parse(config["digest"])}

    def _layer(self, name: str, platform: str, size: int) -> BuiltLayer:
        def make(folder: Path) -> dict[str, Any]:
            with (folder / "layer").open("wb") as file:
                squeezer = _Squeezer(file)
                _write_tar(squeezer, name, platform, size)
                squeezer.close()
            digest = Digest(squeezer.outer.hexdigest())
            (folder / "layer").rename(self._blobs / digest.hex)
            inner = f"sha256:{squeezer.inner.hexdigest()}"
            return {"digest": str(digest), "size": squeezer.size, "diff": inner}

        _, facts = self._build_cache.get(["layer", name, platform, size], make)
        return BuiltLayer(
            digest=Digest.parse(facts["digest"]), size=facts["size"], diff=facts["diff"]
        )


class _Squeezer(io.RawIOBase):
    """Compress what is written, reproducibly, and hash both sides.

    The filling cannot be compressed, so nothing is tried: level 0 makes stored blocks.
    """

    def __init__(self, file: io.BufferedWriter) -> None:
        super().__init__()
        self.inner = hashlib.sha256()
        self.outer = hashlib.sha256()
        self.size = 0
        self._file = file
        self._packer = zlib.compressobj(0, wbits=31)  # gzip, its time stamp is 0

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        self.inner.update(content)
        self._out(self._packer.compress(content))
        return len(content)

    def close(self) -> None:
        if not self.closed:
            self._out(self._packer.flush())
        super().close()

    def _out(self, packed: bytes) -> None:
        self.outer.update(packed)
        self.size += len(packed)
        self._file.write(packed)


def _write_tar(out: _Squeezer, name: str, platform: str, size: int) -> None:
    """Write a layer: a base gets a few folders, everything else its program; then the filling."""
    architecture = platform.partition("/")[2].partition("/")[0].partition("@")[0]
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.USTAR_FORMAT, bufsize=1 << 18) as tar:
        if name.startswith("base "):
            for folder, mode in (("etc", 0o755), ("tmp", 0o1777), ("usr", 0o755)):
                tar.addfile(_member(folder, mode, tarfile.DIRTYPE))
            passwd = b"root:x:0:0:root:/root:/sbin/nologin\n"
            tar.addfile(_member("etc/passwd", 0o644, size=len(passwd)), io.BytesIO(passwd))
        else:
            binary = program(architecture)
            tar.addfile(_member("lab", 0o755, size=len(binary)), io.BytesIO(binary))
        seed = f"{name} {platform}"
        label = hashlib.sha256(name.encode()).hexdigest()[:12]
        member = _member(f"usr/share/lab/{label}", 0o644, size=size)
        tar.addfile(member, io.BufferedReader(RandomFile(seed, size), 1 << 18))


def _member(name: str, mode: int, kind: bytes = tarfile.REGTYPE, size: int = 0) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.mode, member.type, member.size, member.mtime = mode, kind, size, _MTIME
    return member


def _platform(text: str) -> dict[str, str]:
    names, _, version = text.partition("@")
    os, architecture, *variant = names.split("/")
    value = {"architecture": architecture, "os": os}
    if version:
        value["os.version"] = version
    if variant:
        value["variant"] = variant[0]
    return value


def _config(recipe: ImageRecipe, platform: str, layers: list[BuiltLayer]) -> dict[str, Any]:
    history = [{"created": _CREATED, "created_by": "airseed lab"} for _ in layers]
    return {
        **_platform(platform),
        "config": {
            "Entrypoint": ["/lab"],
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "Labels": {"lab.name": recipe.name},
        },
        "created": _CREATED,
        "history": history,
        "rootfs": {"type": "layers", "diff_ids": [layer.diff for layer in layers]},
    }

"""Images that run: Debian's static busybox and megabytes that no compressor makes smaller.

They are written as an OCI layout each, which skopeo then pushes as the registry is to have them:
docker's schema 2 and manifest lists, or OCI manifests and indexes.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from builder.lab.random_bytes import program, random_bytes
from interop.programs import run

if TYPE_CHECKING:
    from collections.abc import Mapping

_INDEX = "application/vnd.oci.image.index.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_CREATED = "2021-03-01T00:00:00Z"
_SIGN = "airseed-image"


@dataclass(frozen=True, kw_only=True)
class ImageRecipe:
    """Describe an image; it prints its own name when it is run."""

    name: str
    """Below the registry, such as ``k8s.gcr.io/pause:3.2``."""
    era: str
    """``docker`` or ``oci``."""
    platforms: tuple[str, ...] = ("linux/amd64",)
    index: bool = True
    size: int = 1 << 20
    """Bytes of the layer of the first platform; others are an eighth."""
    bases: tuple[tuple[str, int], ...] = ()


@dataclass
class Layout:
    """Write an OCI layout."""

    folder: Path
    blobs: Path = field(init=False)

    def __post_init__(self) -> None:
        self.blobs = self.folder / "blobs" / "sha256"
        self.blobs.mkdir(parents=True, exist_ok=True)
        (self.folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}', "utf-8")

    def blob(self, content: bytes, kind: str) -> dict[str, Any]:
        """Add a blob; return its descriptor."""
        digest = hashlib.sha256(content).hexdigest()
        (self.blobs / digest).write_bytes(content)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(content)}

    def document(self, value: Any, kind: str) -> dict[str, Any]:
        return self.blob(json.dumps(value).encode(), kind)

    def write(self, recipe: ImageRecipe) -> None:
        """Make an image the only one of the layout."""
        platforms = recipe.platforms if recipe.index else recipe.platforms[:1]
        manifests = [self._manifest(recipe, platform) for platform in platforms]
        top = manifests[0]
        if recipe.index:
            top = self.document(
                {"schemaVersion": 2, "mediaType": _INDEX, "manifests": manifests}, _INDEX
            )
        text = json.dumps({"schemaVersion": 2, "manifests": [top]})
        (self.folder / "index.json").write_text(text, "utf-8")

    def _manifest(self, recipe: ImageRecipe, platform: str) -> dict[str, Any]:
        architecture = platform.split("/")[1]
        share = 1 if platform == recipe.platforms[0] else 8
        layers = [_base(architecture)]
        layers += [
            _layer({f"opt/{n}": random_bytes(f"{n} {platform}", s // share)})
            for n, s in recipe.bases
        ]
        own = {
            f"opt/{_SIGN}.data": random_bytes(f"{recipe.name} {platform}", recipe.size // share),
            f"etc/{_SIGN}": f"{recipe.name} {platform}\n".encode(),
        }
        layers.append(_layer(own))
        config = {
            "created": _CREATED,
            "architecture": architecture,
            "os": "linux",
            "config": {"Cmd": ["/bin/busybox", "cat", f"/etc/{_SIGN}"], "Env": ["PATH=/bin"]},
            "rootfs": {
                "type": "layers",
                "diff_ids": [f"sha256:{hashlib.sha256(tar).hexdigest()}" for tar in layers],
            },
        }
        system, _, rest = platform.partition("/")
        name, _, variant = rest.partition("/")
        about = {"os": system, "architecture": name} | ({"variant": variant} if variant else {})
        if variant:
            config["variant"] = variant
        value = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": self.document(config, _CONFIG),
            "layers": [self.blob(gzip.compress(tar, 1, mtime=0), _LAYER) for tar in layers],
        }
        return {**self.document(value, _MANIFEST), "platform": about}


def push(recipe: ImageRecipe, folder: Path, registry: str, env: Mapping[str, str]) -> None:
    """Write an image and let skopeo push it."""
    Layout(folder).write(recipe)
    run(
        "skopeo", "--insecure-policy", "copy", "--quiet", "--all", "--dest-tls-verify=false",
        "--format", "v2s2" if recipe.era == "docker" else "oci",
        f"oci:{folder}", f"docker://{registry}/{recipe.name}", env=env,
    )  # fmt: skip


def _base(architecture: str) -> bytes:
    """Return the layer with the shell, which images share."""
    shell = Path("/bin/busybox").read_bytes() if architecture == "amd64" else program(architecture)
    return _layer({"bin/busybox": shell}, links={"bin/sh": "busybox"}, folders=("tmp", "etc"))


def _layer(
    files: Mapping[str, bytes],
    *,
    links: Mapping[str, str] | None = None,
    folders: tuple[str, ...] = (),
) -> bytes:
    """Return an uncompressed layer, the same at any time."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name in folders:
            about = tarfile.TarInfo(name)
            about.type, about.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(about)
        for name, content in files.items():
            about = tarfile.TarInfo(name)
            about.size, about.mode = len(content), 0o755
            tar.addfile(about, io.BytesIO(content))
        for name, target in (links or {}).items():
            about = tarfile.TarInfo(name)
            about.type, about.linkname = tarfile.SYMTYPE, target
            tar.addfile(about)
    return buffer.getvalue()

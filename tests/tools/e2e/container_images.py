"""Container images that hold little more than the real programs."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import shutil
import stat
import tarfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interop.image_recipes import Layout

from builder.formats import catalog as catalog_format
from builder.model.version import Version
from e2e.resources import ROOT, data, fill, releases, run, source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_CREATED = "2020-09-13T12:26:40Z"
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PLUGINS = "/usr/lib/x86_64-linux-gnu/xtables"
_LEGACY = "xtables-legacy-multi"
_NAMES = (
    "iptables", "iptables-save", "iptables-restore",
    "ip6tables", "ip6tables-save", "ip6tables-restore",
)  # fmt: skip
_LIBRARY = re.compile(r"(/\S+\.so\S*)")


def push(folder: Path, registry: str) -> None:
    """Write every image and let skopeo push it as docker's schema 2, as upstream's are."""
    for reference, (name, recipe) in made().items():
        where = folder / name
        shutil.rmtree(where, ignore_errors=True)
        _write(Layout(where), recipe, reference)
        run(
            "skopeo", "--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false",
            "--format", "v2s2", f"oci:{where}", f"docker://{registry}/{reference}",
        )  # fmt: skip


def made() -> dict[str, tuple[str, Any]]:
    """Return the recipes by reference: of each image as many as the releases have tags of it."""
    images: dict[str, tuple[str, Any]] = {}
    for release in releases():
        for name, recipe in data("images.yaml").items():
            reference = recipe.get("reference") or _references(release)[name]
            tag = reference.rpartition(":")[2]
            images.setdefault(reference, (name, fill(recipe, release=release, tag=tag)))
    return images


def push_again(name: str, folder: Path, registry: str, references: Iterable[str]) -> None:
    """Push an image that :func:`push` wrote under other names, which it stands for."""
    for reference in references:
        run(
            "skopeo", "--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false",
            "--format", "v2s2", f"oci:{folder / name}", f"docker://{registry}/{reference}",
        )  # fmt: skip


@cache
def _references(version: str) -> dict[str, str]:
    """Return what a release starts, and what keeps up an endpoint, as the catalog has it."""
    catalog, release = catalog_format.load([]), Version.parse(version)
    images = [reference for _, reference in catalog.kubernetes(release).images]
    images += filter(None, [catalog.endpoints.keeper("local-proxy", release).image])
    return {reference.path.rpartition("/")[2]: str(reference) for reference in images}


def _write(layout: Layout, recipe: Mapping[str, Any], reference: str) -> None:
    """Make an image the only one of a layout: libraries and programs in a layer each.

    Its label tells it from others with the same programs, as two tags of etcd have here.
    """
    files = {path: (source(text), text) for path, text in recipe["files"].items()}
    libraries = {lib for path, text in files.values() for lib in libraries_of(path, text)}
    # what the node has not comes from here, which is the same Debian
    common = {name: own if (own := in_root(name)).exists() else Path(name) for name in libraries}
    links = {}
    if recipe.get("iptables"):
        common |= _iptables()
        links = {f"/usr/sbin/{name}": _LEGACY for name in _NAMES}
    layers = [
        _layer(common, links),
        _layer({path: where for path, (where, _) in files.items()}, {}),
    ]
    config = {
        "created": _CREATED,
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "Env": [_PATH],
            "Entrypoint": recipe.get("entrypoint"),
            "Labels": {"reference": reference},
        },
        "rootfs": {
            "type": "layers",
            "diff_ids": [f"sha256:{hashlib.sha256(tar).hexdigest()}" for tar in layers],
        },
    }
    manifest = layout.document(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": layout.document(config, _CONFIG),
            "layers": [layout.blob(gzip.compress(tar, 1, mtime=0), _LAYER) for tar in layers],
        },
        _MANIFEST,
    )
    text = json.dumps({"schemaVersion": 2, "manifests": [manifest]})
    (layout.folder / "index.json").write_text(text, "utf-8")


def libraries_of(path: Path, text: str) -> Iterator[str]:
    """Name the shared libraries that a program needs, as the node's image has them too."""
    if text.startswith("host:"):
        output = run("ldd", path, check=False).stdout
    elif text.startswith("root:"):
        output = _ldd(text.removeprefix("root:"))
    else:
        return
    yield from _LIBRARY.findall(output)


@cache
def _ldd(path: str) -> str:
    return run("chroot", ROOT, "ldd", path, check=False).stdout


@cache
def _iptables() -> dict[str, Path]:
    """Return iptables with all its plugins, which have libraries of their own."""
    names = {f"/usr/sbin/{_LEGACY}"} | {
        f"{_PLUGINS}/{file.name}" for file in in_root(_PLUGINS).iterdir()
    }
    output = run("chroot", ROOT, "ldd", *sorted(names), check=False).stdout
    return {name: in_root(name) for name in {*names, *_LIBRARY.findall(output)} if ":" not in name}


def in_root(name: str) -> Path:
    """Return a file of the node's image, behind all links, which are absolute there."""
    path = ROOT / name.lstrip("/")
    for _ in range(10):
        parts = Path(name).parts
        for number in range(2, len(parts) + 1):
            part = ROOT.joinpath(*parts[1:number])
            if part.is_symlink():
                target = Path(*parts[: number - 1]) / part.readlink()
                name = str(target.joinpath(*parts[number:]))
                break
        else:
            return ROOT / name.lstrip("/")
    raise AssertionError(f"{path} is a link without an end")


def _layer(files: Mapping[str, Path], links: Mapping[str, str]) -> bytes:
    """Write a layer; every folder that leads to a file comes before it, and /tmp in each."""
    made = {"tmp"}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        tar.addfile(_entry("tmp", tarfile.DIRTYPE, 0o1777))
        for name in sorted({*files, *links}):
            path = name.lstrip("/")
            for parent in reversed(Path(path).parents[:-1]):
                if str(parent) not in made:
                    made.add(str(parent))
                    tar.addfile(_entry(str(parent), tarfile.DIRTYPE, 0o755))
            if name in links:
                entry = _entry(path, tarfile.SYMTYPE, 0o777)
                entry.linkname = links[name]
                tar.addfile(entry)
                continue
            status = files[name].stat()
            entry = _entry(path, tarfile.REGTYPE, stat.S_IMODE(status.st_mode) | 0o555)
            entry.size = status.st_size
            with files[name].open("rb") as file:
                tar.addfile(entry, file)
    return buffer.getvalue()


def _entry(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = kind, mode
    return entry

"""RPMs by rpmbuild, with the names and dependencies that the lab's stock has."""

from __future__ import annotations

import hashlib
import itertools
import struct
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from builder.lab.random_bytes import program, random_bytes
from builder.model.rpm import Nevra
from interop.programs import environment, run

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from builder.lab.packages import PackageRecipe

_SPEC = """\
%define __os_install_post %{{nil}}
%define debug_package %{{nil}}
%define _build_id_links none
%define _binaries_in_noarch_packages_terminate_build 0
%define _binary_payload {payload}
Name: {name.name}
Epoch: {epoch}
Version: {name.version}
Release: {name.release}
Summary: {name.name}, made up for airseed's tests
License: ASL 2.0
{architecture}
AutoReqProv: no
{relations}
%description
{name.name}
%install
cp -a {tree}/. %{{buildroot}}/
%files
{files}
"""
_HEADER = b"\x8e\xad\xe8\x01"
_LEAD = 96
_PAYLOAD_DIGESTS = {5092, 5093, 5097}
_UNUSED = 60000
_MD5 = 1004


def build(recipes: Iterable[PackageRecipe], folder: Path, *, old: bool) -> list[Path]:
    """Build RPMs into a folder; ``old`` makes them as EL7's rpmbuild does."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor() as pool:

        def made(number: int, recipe: PackageRecipe) -> Path:
            return _build(recipe, folder, Path(scratch, str(number)), old=old)

        return list(pool.map(made, itertools.count(), recipes))


def _build(recipe: PackageRecipe, folder: Path, top: Path, *, old: bool) -> Path:
    name = Nevra.parse(recipe.nevra)
    tree = top / "tree"
    files = {
        path: program("amd64") if "bin/" in path else b"interop\n" for path in recipe.files
    } | {
        f"/usr/share/doc/{name.name}-{name.version}/{name.arch}": random_bytes(
            str(name), recipe.size
        )
    }
    for path, content in files.items():
        (tree / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        (tree / path[1:]).write_bytes(content)
        (tree / path[1:]).chmod(0o755 if "bin/" in path else 0o644)
    relations = [
        f"{word}: {text}"
        for word in ("requires", "provides", "conflicts", "obsoletes")
        for text in getattr(recipe, word)
    ]
    spec = top / "package.spec"
    text = _SPEC.format(
        name=name,
        epoch=name.epoch,
        architecture="BuildArch: noarch" if name.arch == "noarch" else "",
        payload="w2.xzdio" if old else "w9.gzdio",
        relations="\n".join(relations),
        tree=tree,
        files="\n".join(files),
    )
    spec.write_text(text.replace("Epoch: 0\n", ""), "utf-8")
    run(
        "rpmbuild", "--quiet", "-bb", "--target", name.arch, "--define", f"_topdir {top}",
        "--define", f"_rpmdir {folder}", "--define", f"_rpmfilename {name.filename}",
        spec, env=environment(top),
    )  # fmt: skip
    made = folder / name.filename
    if old:
        made.write_bytes(without_payload_digest(made.read_bytes()))
    return made


def without_payload_digest(rpm: bytes) -> bytes:
    """Take the payload's digest out of a header, where EL7's rpmbuild puts none.

    Without it only the signature over header and payload covers the payload. The tags are given
    numbers that mean nothing; the header's own digests are made anew.
    """
    start, end = _header(rpm)
    header = bytearray(rpm[start:end])
    entries = struct.unpack_from(">I", header, 8)[0]
    for place in range(16, 16 + 16 * entries, 16):
        (tag,) = struct.unpack_from(">I", header, place)
        if tag in _PAYLOAD_DIGESTS:
            struct.pack_into(">I", header, place, tag + _UNUSED)
    return _redigested(rpm, bytes(header) + rpm[end:])


def with_other_payload(rpm: bytes) -> bytes:
    """Change a byte of the payload and all that is not signed, as one who means harm would."""
    start, end = _header(rpm)
    rest = bytearray(rpm[start:])
    rest[(end - start + len(rest)) // 2] ^= 1
    return _redigested(rpm, bytes(rest))


def _header(rpm: bytes) -> tuple[int, int]:
    """Return where the main header begins and ends."""
    start = _end(rpm, _LEAD)
    start += -start % 8
    return start, _end(rpm, start)


def _end(rpm: bytes, start: int) -> int:
    magic, entries, size = struct.unpack_from(">4s4xII", rpm, start)
    assert magic == _HEADER
    end: int = start + 16 + 16 * entries + size
    return end


def _redigested(rpm: bytes, rest: bytes) -> bytes:
    """Put header and payload in the place of those of an RPM, with digests that are right."""
    start, end = _header(rpm)
    length = end - start
    head = rpm[:start]
    for kind in ("sha1", "sha256"):
        was, is_ = (hashlib.new(kind, one[:length]).hexdigest() for one in (rpm[start:], rest))
        head = head.replace(was.encode(), is_.encode())
    old, new = (hashlib.md5(one).digest() for one in (rpm[start:], rest))  # noqa: S324 -- the format's
    assert old in head
    return head.replace(old, new) + rest


def index(folder: Path, *words: str, groups: Path | None = None, rpms: Sequence[str] = ()) -> None:
    """Let createrepo_c describe a folder of RPMs."""
    more = ["--groupfile", str(groups)] if groups else []
    run("createrepo_c", "--quiet", *more, *words, folder, env=environment(folder.parent))

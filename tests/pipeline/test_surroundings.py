"""Nothing of where and how airseed is run shows in what it writes.

``tests/interop/test_surroundings.py`` adds other users, and other versions of what it depends on.
"""

from __future__ import annotations

import os
import stat
import tarfile
from typing import TYPE_CHECKING

import pytest
from surroundings import SURROUNDINGS, lock_and_bundle, under, unlike

if TYPE_CHECKING:
    from pathlib import Path

    from sandboxes import Sample


def test_the_same_bytes_and_permissions_everywhere(sample: Sample, tmp_path: Path) -> None:
    """Another folder, upstream, empty cache, umask, locale, time zone and order of sets."""
    runs = []
    for umask, more in SURROUNDINGS.items():
        with sample.sandbox(tmp_path / umask / "work", locked=False) as sandbox:
            sandbox.environment |= more
            runs.append(lock_and_bundle(sandbox, *under(umask)))
    first, other = runs
    assert unlike(first, other) == []
    assert first["cluster.lock"][1] == (sample.folder / "cluster.lock").read_bytes()
    assert first["bundle.tar"][1] == sample.bundle.read_bytes()
    whole = b"".join(first[name][1] for name in first if name.startswith("parts.tar.0"))
    assert whole == first["bundle.tar"][1]
    modes = {mode for mode, _ in first.values()}
    assert modes == {"-rw-r--r--", "drwxr-xr-x"}


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_what_is_exported_can_be_read(sample: Sample, tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with sample.sandbox(tmp_path / "work") as sandbox:
            for kind, name in (("images", "images.tar"), ("packages", "yum")):
                words = ("export", str(sample.bundle), f"--{kind}-only", "-o", name)
                ran = sandbox.run(*words)
                assert ran.code == 0, ran.err
            files = [path for path in (sandbox.folder / "yum").rglob("*") if path.is_file()]
            files.append(sandbox.folder / "images.tar")
    finally:
        os.umask(before)
    assert len(files) > 10
    assert {stat.filemode(path.stat().st_mode) for path in files} == {"-rw-r--r--"}


def test_every_member_of_a_bundle_is_alike(sample: Sample) -> None:
    with tarfile.open(sample.bundle) as bundle:
        members = bundle.getmembers()
    assert len(members) > 100
    assert {(one.type, one.mode, one.uid, one.gid, one.uname, one.gname) for one in members} == {
        (tarfile.REGTYPE, 0o644, 0, 0, "", "")
    }
    assert len({one.mtime for one in members}) == 1

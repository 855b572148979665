"""Nothing of where and how airseed is run shows in what it writes.

``tests/interop/test_surroundings.py`` adds other users, and other versions of what it depends on.
"""

from __future__ import annotations

import os
import stat
import tarfile
from typing import TYPE_CHECKING

import pytest
from surroundings import SURROUNDINGS, go, under, unlike

if TYPE_CHECKING:
    from pathlib import Path

    from scene import Stage


def test_the_same_bytes_and_permissions_everywhere(stage: Stage, tmp_path: Path) -> None:
    """Another folder, upstream, empty cache, umask, locale, time zone and order of sets."""
    runs = []
    for umask, more in SURROUNDINGS.items():
        with stage.scene(tmp_path / umask / "work", locked=False) as scene:
            scene.environment |= more
            runs.append(go(scene, *under(umask)))
    first, other = runs
    assert unlike(first, other) == []
    assert first["cluster.lock"][1] == (stage.finished / "cluster.lock").read_bytes()
    assert first["bundle.tar"][1] == stage.bundle.read_bytes()
    whole = b"".join(first[name][1] for name in first if name.startswith("parts.tar.0"))
    assert whole == first["bundle.tar"][1]
    modes = {mode for mode, _ in first.values()}
    assert modes == {"-rw-r--r--", "drwxr-xr-x"}


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_what_is_exported_can_be_read(stage: Stage, tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with stage.scene(tmp_path / "work") as scene:
            for kind, name in (("images", "images.tar"), ("packages", "yum")):
                words = ("export", str(stage.bundle), f"--{kind}-only", "-o", name)
                ran = scene.run(*words)
                assert ran.code == 0, ran.err
            files = [path for path in (scene.folder / "yum").rglob("*") if path.is_file()]
            files.append(scene.folder / "images.tar")
    finally:
        os.umask(before)
    assert len(files) > 10
    assert {stat.filemode(path.stat().st_mode) for path in files} == {"-rw-r--r--"}


def test_every_member_of_a_bundle_is_alike(stage: Stage) -> None:
    with tarfile.open(stage.bundle) as bundle:
        members = bundle.getmembers()
    assert len(members) > 100
    assert {(one.type, one.mode, one.uid, one.gid, one.uname, one.gname) for one in members} == {
        (tarfile.REGTYPE, 0o644, 0, 0, "", "")
    }
    assert len({one.mtime for one in members}) == 1

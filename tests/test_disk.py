"""What has its final name is whole, and nobody else may read what is private."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from builder import disk, owners
from builder.errors import StorageError, UsageError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_read_whole_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert disk.read(path, 5) == b"12345"
    with pytest.raises(disk.TooLargeError) as caught:
        disk.read(path, 4)
    assert caught.value.strerror == "the file is larger than 4 bytes"
    with pytest.raises(StorageError) as told:
        owners.read_own(path, 4)
    assert told.value.hint == "this is not what airseed writes there: is it the right file?"


@pytest.fixture(params=["pipe", "socket", "device", "a link to a pipe"])
def nothing_to_read(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Make something that would hold up whoever reads it as a file."""
    path = tmp_path / "made"
    match request.param:
        case "pipe":
            os.mkfifo(path)
        case "socket":
            with socket.socket(socket.AF_UNIX) as bound:
                bound.bind(str(path))
        case "device":
            path.symlink_to("/dev/zero")
        case _:
            os.mkfifo(tmp_path / "there")
            path.symlink_to("there")
    return path


def test_what_is_no_file_holds_nobody_up(nothing_to_read: Path) -> None:
    with pytest.raises(disk.NotAFileError, match=r"is a (pipe|socket|device), not a file"):
        disk.read(nothing_to_read, 5)
    with pytest.raises(IsADirectoryError):
        disk.read(nothing_to_read.parent, 5)


def test_what_the_shell_hands_over_may_be_a_pipe() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as file:
        file.write(b"key")
    assert disk.read(Path(f"/dev/fd/{reading}"), 5) == b"key"
    os.close(reading)


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_permissions_are_what_was_asked_for(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        disk.put(tmp_path / "a" / "public", b"x")
        disk.put(tmp_path / "private", b"y", mode=disk.PRIVATE)
        disk.folder(tmp_path / "b" / "folder")
    finally:
        os.umask(before)
    assert (mode(tmp_path / "a" / "public"), mode(tmp_path / "private")) == (0o644, 0o600)
    assert mode(tmp_path / "b" / "folder") == 0o700


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_what_is_published_can_be_read_by_all(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "file"
    before = os.umask(umask)
    try:
        with path.open("wb") as file:
            disk.publish(file.fileno())
    finally:
        os.umask(before)
    assert mode(path) == 0o644


def test_a_file_system_without_permissions_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_handle: int, _mode: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchmod", refused)
    path = tmp_path / "file"
    path.touch(mode=0o600)
    with path.open("wb") as file:
        disk.publish(file.fileno())
    assert mode(path) == 0o600


def test_a_folder_that_another_run_makes_first_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "folder"
    make = type(path).mkdir

    def late(self: Path, *how: object, **more: object) -> None:
        if self == path:
            make(self)
        make(self, *how, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(type(path), "mkdir", late)
    disk.folder(path)
    assert path.is_dir()


def test_a_failure_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    disk.put(path, b"old")

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError) as caught:
        disk.put(path, b"new")
    assert str(caught.value) == f"{path}: no space left on device"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"old"


def test_a_folder_that_is_a_file_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for attempt in (
        lambda: disk.put(tmp_path / "file" / "in", b"x"),
        lambda: disk.folder(tmp_path / "file" / "in"),
    ):
        with pytest.raises(StorageError, match=r"not a directory|file exists"):
            attempt()


def test_links_devices_and_folders_stay(tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("theirs")
    (tmp_path / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")  # what a device is, as far as can be made without being root
    before = sorted(tmp_path.iterdir())
    for name in ("link", "dangling", "folder", "pipe"):
        with pytest.raises(UsageError) as caught:
            disk.put(tmp_path / name, b"ours")
        what = "is not a regular file, so it can't be replaced"
        assert str(caught.value) == f"{tmp_path}/{name}: {what}"
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "outside").read_text() == "theirs"
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "pipe").is_fifo()


def test_the_names_of_unfinished_files_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is removed is what the writer leaves, when nothing can stop it from dying."""
    with monkeypatch.context() as patched:
        patched.setattr(disk, "_forget", lambda _path: None)
        patched.setattr(type(tmp_path), "replace", lambda *_: (_ for _ in ()).throw(OSError()))
        for name in ("user-data", "x" * 255):
            with contextlib.suppress(StorageError):
                disk.put(tmp_path / name, b"token")
    assert len([*tmp_path.iterdir()]) == 2
    disk.sweep(tmp_path, ["user-data", "x" * 255])
    assert [*tmp_path.iterdir()] == []


def test_a_sweep_leaves_what_it_does_not_know(tmp_path: Path) -> None:
    names = {".a.01234567", "a.01234567.part", ".a.0123456.part", ".b.01234567.part", ".part-1"}
    for name in (*names, ".a.01234567.part"):
        (tmp_path / name).touch()
    disk.sweep(tmp_path, ["a"])
    assert {path.name for path in tmp_path.iterdir()} == names


@pytest.mark.parametrize("folder", [False, True])
def test_what_is_fresh_is_safe_from_other_runs_and_gone_at_the_end(
    tmp_path: Path, folder: bool
) -> None:
    target, left = tmp_path / "x", tmp_path / disk.unfinished("x")
    left.mkdir() if folder else left.touch()
    with disk.fresh(target, folder=folder) as first, disk.fresh(target, folder=folder) as second:
        assert {*tmp_path.iterdir()} == {first, second}
        first.replace(target)
    assert {*tmp_path.iterdir()} == {target}


@pytest.mark.parametrize("folder", [False, True])
def test_what_is_swept_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, folder: bool
) -> None:
    locked = disk._locked

    def late(path: Path, *, wait: bool = False) -> AbstractContextManager[None]:
        monkeypatch.setattr(disk, "_locked", locked)
        disk.sweep(tmp_path, unlocked=True)
        assert not path.exists()
        return locked(path, wait=wait)

    monkeypatch.setattr(disk, "_locked", late)
    with disk.fresh(tmp_path / "bundle", folder=folder) as path:
        assert path.exists()
        disk.sweep(tmp_path, unlocked=True)
        assert path.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_by_the_open_folder_needs_no_path(tmp_path: Path) -> None:
    (tmp_path / disk.unfinished("token")).touch()
    (tmp_path / disk.unfinished("folder")).mkdir()
    handle = os.open(tmp_path, os.O_RDONLY)
    try:
        disk.sweep(tmp_path / "moved", handle=handle)
    finally:
        os.close(handle)
    assert [*tmp_path.iterdir()] == []


def test_an_error_without_a_number_is_still_a_sentence(tmp_path: Path) -> None:
    assert str(disk.failure(OSError("Odd"), tmp_path)) == f"{tmp_path}: odd"


def test_a_place_that_cannot_be_written_is_known_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.writable(tmp_path / "made" / "later")
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError) as caught:
        disk.writable(tmp_path / "file" / "made" / "later")
    assert str(caught.value) == f"{tmp_path}/file: not a directory"
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    with pytest.raises(StorageError) as caught:
        disk.claim(tmp_path / "made" / "x.json", force=True)
    assert str(caught.value) == f"{tmp_path}: cannot be written"
    assert caught.value.hint == "choose a folder that can be written"

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

import pytest

from builder.errors import Fault, StorageError
from builder.secrets.folder import LARGEST, OTHERS_MAY_ENTER, OTHERS_MAY_WRITE, Folder, read_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MODES = "if that changes nothing, the file system keeps no modes: choose another one"


@pytest.fixture(params=[0o000, 0o022, 0o377], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Folder]:
    with Folder.open(tmp_path / "secrets", create=True) as opened:
        yield opened


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_modes_hold_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    with Folder.open(tmp_path / "secrets", create=True) as room, room.locked():
        room.write("token", b"x")
    assert mode(tmp_path / "secrets") == 0o700
    assert {path.name: mode(path) for path in (tmp_path / "secrets").iterdir()} == {
        ".lock": 0o600,
        "token": 0o600,
    }


def test_a_file_is_private_before_its_first_byte(
    room: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Look at the mode at the moment of creation, under the widest umask."""
    modes: list[int] = []
    real = os.fchmod

    def look(handle: int, wanted: int) -> None:
        status = os.fstat(handle)
        modes.append(stat.S_IMODE(status.st_mode))
        assert status.st_size == 0
        real(handle, wanted)

    before = os.umask(0)
    monkeypatch.setattr(os, "fchmod", look)
    room.write("token", b"x")
    os.umask(before)
    assert modes == [0o600]


def test_what_was_written_is_read(room: Folder) -> None:
    assert room.read("token") is None
    room.write("token", b"one")
    room.write("token", b"two")
    assert room.read("token") == b"two"
    assert os.listdir(room.path) == ["token"]  # noqa: PTH208 -- names alone


def test_a_missing_folder_says_how_it_is_made(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught:
        Folder.open(tmp_path / "secrets")
    assert str(caught.value) == f"{tmp_path}/secrets: there are no secrets yet"
    assert caught.value.hint == (
        "`airseed secrets` makes them; those of a cluster that runs can only be put back"
    )


@pytest.mark.parametrize("wide", [0o750, 0o705, 0o701, 0o770])
def test_an_open_folder_is_refused(tmp_path: Path, wide: int) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    folder.chmod(wide)
    for create in (False, True):
        with pytest.raises(StorageError) as caught:
            Folder.open(folder, create=create)
        assert str(caught.value) == (
            f"{folder}: others may enter this folder (mode {wide:04o}) (expected mode 0700)"
        )
        assert caught.value.hint == f"chmod 0700 {folder}; {MODES}"
    assert mode(folder) == wide


def test_a_folder_behind_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "secrets").symlink_to("elsewhere")
    with pytest.raises(StorageError) as caught:
        Folder.open(tmp_path / "secrets", create=True)
    assert str(caught.value) == (
        f"{tmp_path}/secrets: is a symbolic link, which secrets are not written through"
    )
    assert caught.value.hint == "move the folder here, or bind-mount it"


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secrets").write_text("")
    with pytest.raises(StorageError) as caught:
        Folder.open(tmp_path / "secrets", create=True)
    assert str(caught.value) == f"{tmp_path}/secrets: not a directory"


def test_a_link_is_replaced_and_not_followed(room: Folder, tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"untouched")
    (room.path / "token").symlink_to(tmp_path / "outside")
    assert room.read("token") == Fault(
        where=str(room.path / "token"), what="is a symbolic link", expected="the file itself"
    )
    room.write("token", b"secret")
    assert (tmp_path / "outside").read_bytes() == b"untouched"
    assert not (room.path / "token").is_symlink()
    assert room.read("token") == b"secret"


def test_a_planted_lock_leads_nowhere(room: Folder, tmp_path: Path) -> None:
    (room.path / ".lock").symlink_to(tmp_path / "outside")
    with pytest.raises(StorageError, match="too many levels of symbolic links"), room.locked():
        pytest.fail("locked through a link")
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("wide", [0o640, 0o604, 0o620, 0o610])
def test_an_open_file_is_refused(room: Folder, wide: int) -> None:
    room.write("token", b"x")
    path = room.path / "token"
    path.chmod(wide)
    assert room.read("token") == Fault(
        where=str(path),
        what=f"others may read this file (mode {wide:04o})",
        expected="mode 0600",
        hint=f"chmod 0600 {path}; {MODES}",
    )


def test_only_files_of_a_sane_size_are_read(room: Folder) -> None:
    os.mkfifo(room.path / "pipe", 0o600)
    (room.path / "folder").mkdir(mode=0o700)
    room.write("large", b"x" * (LARGEST + 1))
    for name, what in (
        ("pipe", "is not a regular file"),
        ("folder", "is not a regular file"),
        ("large", "the file is larger than 262,144 bytes"),
    ):
        assert room.read(name) == Fault(where=str(room.path / name), what=what)


def test_public_files_of_the_user_may_be_read_but_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "ca.crt"
    path.write_bytes(b"x")
    path.chmod(0o644)
    assert read_file(path, forbidden=OTHERS_MAY_WRITE) == b"x"
    (tmp_path / "link").symlink_to(path)  # as a mounted Secret has it
    assert read_file(tmp_path / "link", forbidden=OTHERS_MAY_WRITE) == b"x"
    path.chmod(0o664)
    assert read_file(path, forbidden=OTHERS_MAY_WRITE) == Fault(
        where=str(path),
        what="others may change this file (mode 0664)",
        expected="mode 0644",
        hint=f"chmod go-w {path}; {MODES}",
    )
    assert isinstance(read_file(path, forbidden=OTHERS_MAY_ENTER), Fault)
    assert read_file(tmp_path / "none", forbidden=0) is None


def test_a_failed_write_leaves_nothing(room: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    room.write("token", b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError) as caught:
        room.write("token", b"new")
    assert str(caught.value) == f"{room.path}/token: no space left on device"
    assert os.listdir(room.path) == ["token"]  # noqa: PTH208 -- names alone
    assert room.read("token") == b"old"


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
THEIRS = "belongs to uid 12345, who can change it at any time"


@as_root
def test_another_users_folder_is_not_kept(tmp_path: Path) -> None:
    """It may have been put there by somebody who waits for what is written into it."""
    path = tmp_path / "secrets"
    path.mkdir(mode=0o700)
    os.chown(path, 12345, 12345)
    for create in (True, False):
        with pytest.raises(StorageError) as caught:
            Folder.open(path, create=create)
        assert str(caught.value) == f"{path}: this folder {THEIRS}"


@as_root
def test_another_users_file_is_not_read(room: Folder, tmp_path: Path) -> None:
    room.write("token", b"x")
    path = tmp_path / "secrets/token"
    os.chown(path, 12345, 12345)
    for found in (room.read("token"), read_file(path, forbidden=OTHERS_MAY_ENTER)):
        assert isinstance(found, Fault)
        assert found.what == f"this file {THEIRS}"


@as_root
def test_who_called_sudo_counts(room: Folder, tmp_path: Path, monkeypatch: Any) -> None:
    room.write("token", b"x")
    os.chown(tmp_path / "secrets/token", 12345, 12345)
    monkeypatch.setenv("SUDO_UID", "12345")
    assert room.read("token") == b"x"
    monkeypatch.setenv("SUDO_UID", "1234")
    assert isinstance(room.read("token"), Fault)

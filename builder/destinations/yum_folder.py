"""A folder of this machine that a web server shows: every file gets its name by rename."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import os
from typing import TYPE_CHECKING

from builder import disk
from builder.closing import Closing
from builder.errors import StorageError
from builder.model.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from builder.bundle.download import Wanted

_FOLDER = 0o755
_NO_LINK = {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS}
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}


class FolderTree(Closing):
    """Hold the folder locked, unless it is only looked at: one airseed at a time fills it."""

    def __init__(self, path: Path, url: str = "", *, look: bool = False) -> None:
        self.path = path.absolute()
        self.name = str(path)
        self.url = url or self.path.as_uri()
        self._touched: set[Path] = set()
        self._handle = -1
        if not look:
            self._make(self.path)
            disk.writable(self.path)
            self._lock()

    def close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def open(self, path: str) -> io.BufferedReader | None:
        try:
            return disk.opened(self.path / path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise disk.failure(error, self.path / path) from error

    def holds(
        self,
        path: str,
        digests: Collection[Digest],
        size: int | None,
        mark: str,  # noqa: ARG002 -- times of files say too little
    ) -> bool:
        file = self.open(path)
        if file is None:
            return False
        with file, disk.stored(self.path / path):
            if size is not None and os.fstat(file.fileno()).st_size != size:
                return False
            return Digest.of_file(file) in digests

    def mark(self, path: str) -> str:  # noqa: ARG002 -- as above
        return ""

    def place(self, wanted: Wanted, *, readable: bool) -> FolderPlace:  # noqa: ARG002 -- always
        return FolderPlace(self, wanted.path)

    def ready(self, paths: Collection[str], size: int, source: Path | None = None) -> None:
        names: dict[Path, set[str]] = {}
        for path in paths:
            target = self.path / path
            names.setdefault(target.parent, set()).add(target.name)
        for folder, wanted in names.items():
            if folder.is_dir():
                disk.sweep(folder, wanted)
        with disk.stored(self.path):
            status = os.statvfs(self.path)
            if source and source.stat().st_dev == self.path.stat().st_dev:
                size = 0
        free = status.f_bavail * status.f_frsize
        if size > free:
            raise StorageError(
                f"{size:,} bytes are needed, {free:,} are free",
                where=self.name,
                hint="free some space, or choose another disk",
            )

    def adopt(self, wanted: Wanted, file: Path) -> bool:
        """Link a file that everybody may read, once its bytes were found right under the new name.

        It stays one file with that of the bundle, so nobody may write into either.
        """
        target = self.path / wanted.path
        fresh = self.fresh(target)
        try:
            os.link(file, fresh, follow_symlinks=False)
            try:
                with disk.opened(fresh, follow=False) as linked:
                    status = os.fstat(linked.fileno())
                    public = status.st_mode & disk.PUBLIC == disk.PUBLIC
                    good = public and status.st_size == wanted.size
                    good = good and Digest.of_file(linked) == wanted.digest
                if good:
                    self.give(fresh, target)
                return good
            finally:
                fresh.unlink(missing_ok=True)
        except OSError as error:
            if error.errno in _NO_LINK:
                return False
            raise disk.failure(error, target) from error

    def put(self, path: str, content: bytes) -> None:
        target = self.path / path
        fresh = self.fresh(target)
        with disk.stored(target):
            try:
                with fresh.open("xb") as file:
                    disk.publish(file.fileno())
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                self.give(fresh, target)
            finally:
                fresh.unlink(missing_ok=True)

    def settle(self) -> None:
        for folder in sorted(self._touched):
            with disk.stored(folder):
                handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    os.fsync(handle)
                finally:
                    os.close(handle)
        self._touched.clear()

    def remove(self, path: str) -> None:
        """Remove a file, and the folders that are empty then."""
        with disk.stored(self.path / path):
            (self.path / path).unlink(missing_ok=True)
        folder = (self.path / path).parent
        while folder != self.path:
            with contextlib.suppress(OSError):  # the first that is not empty stays, as all above
                folder.rmdir()
            folder = folder.parent

    def fresh(self, target: Path) -> Path:
        """Return a name beside a target that nobody has; folders are made, leftovers removed."""
        self._make(target.parent)
        return target.with_name(disk.unfinished(target.name))

    def give(self, fresh: Path, target: Path) -> None:
        """Give a whole file its name; raise OSError."""
        fresh.replace(target)
        self._touched.add(target.parent)

    def _make(self, folder: Path) -> None:
        missing = [each for each in (folder, *folder.parents) if not each.exists()]
        for each in reversed(missing):
            disk.folder(each, mode=_FOLDER)
        if not folder.is_dir():
            raise StorageError("is a file, not a folder", where=str(folder))

    def _lock(self) -> None:
        with disk.stored(self.path):
            self._handle = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.close()
            raise StorageError(
                "another airseed process is filling this folder",
                where=self.name,
                hint="wait for it, then run the same command again",
            ) from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:  # some network file systems have none
                raise disk.failure(error, self.path) from error


class FolderPlace:
    """A file under an unfinished name."""

    host = ""
    saved = 0

    def __init__(self, tree: FolderTree, path: str) -> None:
        self._tree = tree
        self._target = tree.path / path
        self._fresh: Path | None = None
        self._file: io.FileIO | None = None

    def write(self, view: memoryview, at: int) -> None:
        with disk.stored(self._target):
            file = self._opened()
            while view:
                count = os.pwrite(file.fileno(), view, at)
                view, at = view[count:], at + count

    def recover(self) -> int:
        return 0

    def readinto(self, view: memoryview, at: int) -> int:  # noqa: ARG002 -- nothing is kept
        return 0

    def open(self) -> io.BufferedReader:
        self._opened()
        assert self._fresh is not None  # noqa: S101 -- for the type checker
        return disk.opened(self._fresh, follow=False)

    def finish(self) -> None:
        with disk.stored(self._target):
            file = self._opened()
            assert self._fresh is not None  # noqa: S101 -- the same
            disk.publish(file.fileno())
            os.fsync(file.fileno())
            self._tree.give(self._fresh, self._target)
            file.close()

    def drop(self) -> None:
        """Remove what did not become a file."""
        if self._file is not None:
            self._file.close()
        if self._fresh is not None:
            self._fresh.unlink(missing_ok=True)

    def _opened(self) -> io.FileIO:
        if self._file is None:
            self._fresh = self._tree.fresh(self._target)
            handle = os.open(
                self._fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, disk.PRIVATE
            )
            self._file = io.FileIO(handle, "r+")
        return self._file

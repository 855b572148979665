"""A web server that takes PUT: nginx's and Apache's dav modules, rclone, artifact stores.

A file goes up under a name of its own and is moved to its place, where the server knows MOVE.
Elsewhere it goes to its place at once. Either way its last byte leaves when all of them were found
right: a request that is cut off counts nowhere.
"""

from __future__ import annotations

import contextlib
import io
import threading
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from builder.destinations.remote import RemotePlace, RemoteTree, digest_of
from builder.errors import FetchError
from builder.http import StatusError, redact
from builder.model.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from builder.bundle.download import Wanted
    from builder.http import Client, HttpStream
    from builder.http.upload import HttpUpload

_GONE = {404, 410}
_NO_FOLDER = {404, 409}
"""How servers say that a folder must be made first."""
_FOLDER_THERE = {301, 302, 405}
"""How they say that it is there."""
_NO_MOVE = {400, 403, 405, 501}
_NO_PUT = {405, 501}
_NO_HEAD = {405, 501}
_BUFFER = 1 << 20


class WebDavTree(RemoteTree):
    def __init__(
        self, client: Client, base: str, *, url: str = "", authorization: str = ""
    ) -> None:
        super().__init__()
        self.base = base.rstrip("/")
        self.name = redact(self.base)
        self.url = url or self.base
        self.host = urlsplit(base).netloc
        self.client = client
        self.moves = True
        """Whether the server knows MOVE, as far as is known."""
        self.headers: Mapping[str, str] = {"Authorization": authorization} if authorization else {}
        self._folders: set[str] = set()
        self._folding = threading.Lock()
        self._makes_folders = False
        """Whether folders have to be made before what goes there."""

    def close(self) -> None:
        self.client.close()

    def at(self, path: str) -> str:
        return f"{self.base}/{quote(path)}"

    def open(self, path: str) -> io.BufferedReader | None:
        try:
            stream = self.client.open(self.at(path), headers=self.headers)
        except StatusError as error:
            if error.status in _GONE:
                return None
            raise
        return io.BufferedReader(_Body(stream))

    def holds(self, path: str, digests: Collection[Digest], size: int | None, mark: str) -> bool:
        found = self.look(path)
        if found is None or (size is not None and found[0] not in {None, size}):
            return False
        self.marks[path] = found[1]
        if mark and mark == found[1]:
            return True
        most = found[0] if size is None else size
        return most is not None and self._read(path, most) in digests

    def look(self, path: str) -> tuple[int | None, str] | None:
        """Return size, where it is told, and mark of a file; None where there is none."""
        try:
            try:
                headers = self.client.head(self.at(path), headers=self.headers).headers
            except StatusError as error:
                if error.status not in _NO_HEAD:
                    raise
                with self.client.open(self.at(path), headers=self.headers) as stream:
                    headers = stream.headers
        except StatusError as error:
            if error.status in _GONE:
                return None
            raise
        length = headers.get("Content-Length", "")
        mark = headers.get("ETag") or headers.get("Last-Modified") or ""
        return int(length) if length.isdecimal() else None, mark

    def upload(self, wanted: Wanted) -> WebDavPlace:
        return WebDavPlace(self, wanted)

    def put(self, path: str, content: bytes) -> None:
        for attempt in range(1, self.client.backoff.attempts + 1):
            try:
                self._put(path, content)
            except FetchError as error:
                if not error.temporary or attempt == self.client.backoff.attempts:
                    raise
                self.client.wait(self.client.backoff.pause(attempt, None), self.at(path))
            else:
                return

    def _put(self, path: str, content: bytes) -> None:
        fresh = _fresh(path, Digest.of(content)) if self.moves else path
        self.prepare(path)
        try:
            self._ask("PUT", fresh, body=content)
        except StatusError as error:
            raise refused(error, temporary=self.lacks_folder(error, path)) from error
        if fresh != path and not self.move(fresh, path):
            self._ask("PUT", path, body=content)
        self.confirm(path, len(content))

    def remove(self, path: str) -> None:
        try:
            self._ask("DELETE", path)
        except StatusError as error:
            if error.status not in _GONE:
                raise refused(error) from error

    def prepare(self, path: str) -> None:
        """Make the folders of a path, where the server wants that."""
        if not self._makes_folders:
            return
        with self._folding:
            parts = path.split("/")[:-1]
            for count in range(len(parts) + 1):
                folder = "/".join(parts[:count])
                if folder not in self._folders:
                    self._make(self.at(f"{folder}/" if folder else ""))
                    self._folders.add(folder)

    def _make(self, url: str, *, above: bool = True) -> None:
        """Make a folder, and those above it where the server says that they are missing."""
        parent = f"{url.rstrip('/').rpartition('/')[0]}/"
        try:
            self.client.submit("MKCOL", url, headers=self.headers)
        except StatusError as error:
            if error.status == HTTPStatus.CONFLICT and above and urlsplit(parent).path.strip("/"):
                self._make(parent)
                self._make(url, above=False)
            elif error.status not in _FOLDER_THERE:
                raise refused(error) from error

    def lacks_folder(self, error: StatusError, path: str) -> bool:
        """Tell whether a PUT failed for want of its folder, which is made before the next one."""
        if error.status not in _NO_FOLDER or path.rpartition("/")[0] in self._folders:
            return False
        self._makes_folders = True
        return True

    def move(self, fresh: str, path: str) -> bool:
        """Give a file its name; False where the server can't, and what was sent is gone then."""
        headers = {"Destination": self.at(path), "Overwrite": "T"}
        try:
            self._ask("MOVE", fresh, headers=headers)
        except StatusError as error:
            if error.status not in _NO_MOVE:
                # another run may have moved it, or the server lost it: it is sent anew
                raise refused(error, temporary=error.status in _GONE) from error
            self.moves = False
            with contextlib.suppress(StatusError):  # who takes PUT alone keeps this one file
                self._ask("DELETE", fresh)
            return False
        return True

    def confirm(self, path: str, size: int) -> None:
        """Ask for what was just put; raise FetchError unless it is there, and whole."""
        found = self.look(path)
        if found is None or found[0] not in {None, size}:
            raise FetchError(
                "took a file, and does not show it"
                if found is None
                else f"shows {found[0]:,} bytes of a file that it took",
                where=redact(self.at(path)),
                expected=f"{size:,} bytes",
                temporary=True,
            )
        self.marks[path] = found[1]

    def _ask(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> None:
        self.client.submit(
            method, self.at(path), headers={**self.headers, **(headers or {})}, body=body
        )

    def _read(self, path: str, most: int) -> Digest | None:
        with self.client.open(self.at(path), headers=self.headers) as stream:
            return digest_of(io.BufferedReader(_Body(stream), _BUFFER), most)


class _Body(io.RawIOBase):
    def __init__(self, stream: HttpStream) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override] # Buffer is of 3.12
        return self._stream.readinto(memoryview(buffer))

    def close(self) -> None:
        self._stream.close()
        super().close()


class WebDavPlace(RemotePlace):
    def __init__(self, tree: WebDavTree, wanted: Wanted) -> None:
        super().__init__(tree.host)
        self._tree = tree
        self._wanted = wanted
        self._upload: HttpUpload | None = None
        self._fresh = ""
        self._tail = b""

    def write(self, view: memoryview, at: int) -> None:
        if not view:
            return
        if at == 0 or self._upload is None:
            self._begin()
        assert self._upload is not None  # noqa: S101 -- for the type checker
        if at + len(view) == self._wanted.size:
            self._tail, view = bytes(view[-1:]), view[:-1]
        try:
            self._upload.write(view)
        except StatusError as error:
            raise self._judged(error) from error
        except FetchError:
            self.drop()
            raise

    def finish(self) -> None:
        wanted, tree = self._wanted, self._tree
        if not wanted.size:
            tree.put(wanted.path, b"")
            return
        if self._upload is None:  # it failed in this place before, so it is sent anew
            raise FetchError("nothing was sent", where=tree.name, temporary=True)
        try:
            self._upload.write(memoryview(self._tail))
            self._upload.finish()
        except StatusError as error:
            raise self._judged(error) from error
        except FetchError:
            self.drop()
            raise
        self._upload = None
        if self._fresh != wanted.path and not tree.move(self._fresh, wanted.path):
            raise FetchError("the server has no MOVE", where=tree.name, temporary=True)
        tree.confirm(wanted.path, wanted.size)

    def drop(self) -> None:
        if self._upload is not None:
            self._upload.close()
            self._upload = None

    def interrupt(self) -> None:
        self.drop()

    def _begin(self) -> None:
        self.drop()
        tree, wanted = self._tree, self._wanted
        tree.prepare(wanted.path)
        self._fresh = _fresh(wanted.path, wanted.digest) if tree.moves else wanted.path
        self._upload = tree.client.upload(
            "PUT", tree.at(self._fresh), headers=tree.headers, size=wanted.size
        )

    def _judged(self, error: StatusError) -> FetchError:
        self.drop()
        lacks = self._tree.lacks_folder(error, self._wanted.path)
        return refused(error, temporary=lacks or error.temporary)


def refused(error: StatusError, *, temporary: bool | None = None) -> FetchError:
    """Say what a server may lack that refuses a file."""
    hint = error.fault.hint
    if error.status in _NO_PUT:
        hint = "this server takes no files: nginx needs dav_methods PUT DELETE MKCOL MOVE"
    elif error.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        hint = "its log says why; nginx needs create_full_put_path on"
    elif error.status in {401, 403}:
        hint = "check the login for this host (--login, --authfile), and that it may write there"
    return FetchError(
        error.fault.what,
        where=error.fault.where,
        hint=hint,
        temporary=error.temporary if temporary is None else temporary,
        retry_after=error.retry_after,
        status=error.status,
    )


def _fresh(path: str, digest: Digest) -> str:
    """Return the name under which a file goes up; the next run uses it again."""
    return f"{path}.{digest.short}.airseed-part"

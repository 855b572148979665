"""Bodies on their way out: straight from files where nothing is to go wrong."""

from __future__ import annotations

import contextlib
import io
import socket
import ssl
import struct
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Literal

from builder.lab import faults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.lab.message import Reply

_PIECE = 256 << 10
_STRETCH = 8 << 20
"""Bytes handed to the kernel at once, so that the log stays true while a large body goes out."""
How = Literal["reset", "close", "hang"]


class Parting(Exception):  # noqa: N818 -- not an error: the plan says so
    """Say that the body ends here, and how."""

    def __init__(self, how: How) -> None:
        super().__init__(how)
        self.how = how


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Say where and how a body is spoiled; places count from the first byte sent."""

    after: int | None = None
    how: How = "close"
    seconds: float | None = None
    flip: int | None = None
    piece: int = _PIECE
    pause: float = 0.0

    @classmethod
    def of(cls, fault: faults.NetworkFault, size: int) -> Cut:
        """Read a fault for a body of ``size`` bytes."""
        match fault:
            case faults.Reset(after):
                return cls(after=_place(after, size), how="reset")
            case faults.Truncate(after):
                return cls(after=_place(after, size))
            case faults.Hang(seconds, after) if after is not None:
                return cls(after=_place(after, size), how="hang", seconds=seconds)
            case faults.WrongBytes(at):
                return cls(flip=_place(at, size))
            case faults.Drip(piece, pause):
                return cls(piece=piece, pause=pause)
            case _:
                return cls()

    @property
    def harmless(self) -> bool:
        """Tell whether every byte goes out at once and unchanged."""
        return self.flip is None and not self.pause


def _place(where: faults.Where, size: int) -> int:
    """Give a place inside a body: never its end, or nothing would be wrong."""
    place = int(where * size) if isinstance(where, float) else where
    return max(0, min(place, size - 1))


def send_body(client: socket.socket, reply: Reply, cut: Cut) -> Iterator[int]:
    """Send a body piece by piece and give each piece's size; raise Parting where it is cut."""
    size = reply.size if cut.after is None else min(cut.after, reply.size)
    body = reply.body
    with io.BytesIO(body) if isinstance(body, bytes) else body.open("rb") as file:
        if cut.harmless and not isinstance(body, bytes) and not isinstance(client, ssl.SSLSocket):
            yield from _hand_over(client, file, reply.offset, size)
        else:
            yield from _copy(client, file, reply.offset, size, cut)
    if cut.after is not None:
        if cut.how == "close":
            say_goodbye(client)
        raise Parting(cut.how)


def _hand_over(client: socket.socket, file: IO[bytes], offset: int, size: int) -> Iterator[int]:
    """Let the kernel send a part of a file."""
    while size:
        sent = client.sendfile(file, offset, min(size, _STRETCH))
        if not sent:
            raise Parting("close")  # the file became shorter
        yield sent
        offset, size = offset + sent, size - sent


def _copy(
    client: socket.socket, file: IO[bytes], offset: int, size: int, cut: Cut
) -> Iterator[int]:
    buffer = memoryview(bytearray(min(cut.piece, max(size, 1))))
    file.seek(offset)
    done = 0
    while done < size:
        count = file.readinto(buffer[: min(len(buffer), size - done)])  # type: ignore[attr-defined]
        if not count:
            raise Parting("close")
        if cut.flip is not None and done <= cut.flip < done + count:
            buffer[cut.flip - done] ^= 1
        client.sendall(buffer[:count])
        done += count
        yield count


def say_goodbye(client: socket.socket) -> None:
    """End a TLS stream in order, so that only the missing bytes tell what happened."""
    if isinstance(client, ssl.SSLSocket):
        client.settimeout(0)  # send close_notify, do not wait for the other side's
        with contextlib.suppress(OSError):
            client.unwrap()


def reset(client: socket.socket) -> None:
    """Make the coming close send a reset instead of a goodbye."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

"""Bodies that are cut short, changed or sent slowly."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from builder.server.connection import CHUNK, read_body
from fault_lab import faults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.server.connection import Connection
    from builder.server.message import Response


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Say where and how a body is spoiled; positions count from the first byte sent."""

    after: int | None = None
    how: Literal["reset", "close", "hang"] = "close"
    seconds: float | None = None
    flip: int | None = None
    piece: int = CHUNK
    pause: float = 0.0

    @classmethod
    def of(cls, fault: faults.NetworkFault, size: int) -> Cut:
        """Read a fault for a body of ``size`` bytes."""
        match fault:
            case faults.Reset(after):
                return cls(after=_position(after, size), how="reset")
            case faults.Truncate(after):
                return cls(after=_position(after, size))
            case faults.Hang(seconds, after) if after is not None:
                return cls(after=_position(after, size), how="hang", seconds=seconds)
            case faults.WrongBytes(at):
                return cls(flip=_position(at, size))
            case faults.Drip(piece, pause):
                return cls(piece=piece, pause=pause)
            case _:
                return cls()


def _position(where: faults.Where, size: int) -> int:
    """Return a position inside a body: never its end, or nothing would be wrong."""
    position = int(where * size) if isinstance(where, float) else where
    return max(0, min(position, size - 1))


def send_spoiled(connection: Connection, response: Response, cut: Cut) -> Iterator[int]:
    """Send a body as far as it is to go out and yield the sizes of its pieces."""
    if cut.after is not None:
        response = replace(response, length=cut.after)
    if cut.flip is None and not cut.pause:
        yield from connection.send_body(response)
        return
    done = 0
    for piece in read_body(response, cut.piece):
        if cut.flip is not None and done <= cut.flip < done + len(piece):
            piece[cut.flip - done] ^= 1
        connection.send(piece)
        done += len(piece)
        yield len(piece)

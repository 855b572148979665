"""Where programs listen in a node's own network; the table is data (``mirrors/listeners.yaml``)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

from builder.host_port import LAST_PORT
from builder.model.arguments import is_address
from builder.model.life import ALWAYS, Life

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.model.cluster import Node

_ALL = "0.0.0.0"  # noqa: S104 -- compared, not bound
_LOOPBACK = "127.0.0.1"
_URL = re.compile(r"^https?://(localhost(?=:))?")
_WITH_PORT = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)):([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class ListenAddress:
    address: str
    port: int
    """0 where nobody listens."""

    def is_on(self, node: Node) -> bool:
        """Tell whether a node can have it, as far as its addresses are known."""
        address = ip_address(self.address)
        known = [own.ip for own in node.addresses]
        return not known or address.is_unspecified or address.is_loopback or address in known

    def clashes(self, other: ListenAddress) -> bool:
        """Tell whether two programs can't both listen where they are to."""
        one, two = ip_address(self.address), ip_address(other.address)
        open_ = one.is_unspecified or two.is_unspecified
        return self.port == other.port and self.port > 0 and (open_ or one == two)


def place(text: str, usual: int | None = None) -> ListenAddress | None:
    """Read ``IP:PORT``, or ``IP`` where there is a usual port; None for anything else."""
    match = _WITH_PORT.fullmatch(text)
    if match and is_address(match[1] or match[2]) and 0 < int(match[3]) <= LAST_PORT:
        return ListenAddress(match[1] or match[2], int(match[3]))
    return ListenAddress(text, usual) if usual is not None and is_address(text) else None


def bound(text: str, usual: int | None = None) -> ListenAddress | None:
    """Read what :func:`place` does, or a URL to listen at as etcd takes it."""
    return place(_URL.sub(lambda match: _LOOPBACK if match[1] else "", text), usual)


def port(text: str) -> ListenAddress | None:
    """Read a port at all addresses."""
    known = text.isascii() and text.isdigit() and int(text) <= LAST_PORT
    return ListenAddress(_ALL, int(text)) if known else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListeningProgram:
    program: str
    usual: ListenAddress
    """Where it listens when nothing else is said."""
    by: tuple[str, ...] = ()
    """What says otherwise: ``KIND.FIELD`` of a document, or an argument of the program."""
    role: str | None = None
    """Of the nodes that have it; None stands for all."""
    life: Life = ALWAYS
    """The releases that have it."""
    of_endpoint: str | None = None
    """What keeps the endpoint up where there is such a program."""

    def said(self, text: str) -> Iterator[ListenAddress]:
        """Yield where it listens by a value; nothing where the value is wrong."""
        for one in text.split(","):
            if found := port(one.strip()) or bound(one.strip(), self.usual.port):
                yield found

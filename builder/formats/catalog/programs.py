"""The table of what programs do by themselves, ``programs.yaml``."""

from __future__ import annotations

from ipaddress import ip_network

from builder.formats.records import MapOf, Record, required
from builder.formats.shape import Number, Text
from builder.model.catalog.programs import ProgramTable
from builder.model.life import Life

_PERCENT = Number(most=100)
PROGRAMS: Record[ProgramTable] = Record(
    ProgramTable,
    required(
        {
            "volumes": MapOf(MapOf(Text[str](), key=r"/[!-~]+"), key=r"[a-zA-Z]+"),
            "proxy-modes": MapOf(
                Text(parse=Life.parse, expected="releases", example="before 1.26"), key=r"[a-z]+"
            ),
            "image-gc": Record(dict, required({"high": _PERCENT, "low": _PERCENT})),
            "docker-bridge": Text(parse=ip_network, expected="a subnet", example="172.17.0.0/16"),
        }
    ),
)

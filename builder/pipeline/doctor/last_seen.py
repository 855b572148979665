"""When each source was last well, as this machine saw it: kept in the cache from run to run."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from builder import disk, strict_json
from builder.errors import AirseedError
from builder.sources import cache
from builder.strict_json import JsonError

if TYPE_CHECKING:
    from collections.abc import Iterable

_NAME = "doctor.json"
_LIMIT = 4 << 20


def note(well: Iterable[str]) -> dict[str, str]:
    """Write down that these addresses are well today; return the last such day of every one.

    A cache that can't be read or written is as good as none: what is asked for is how it is now.
    """
    try:
        path = cache.folder() / _NAME
    except AirseedError:
        return {}
    try:
        known = strict_json.load(disk.read(path, _LIMIT).decode("utf-8"))
        days = {key: day for key, day in known.items() if isinstance(day, str)}
    except (OSError, UnicodeDecodeError, JsonError, AttributeError):
        days = {}
    days |= dict.fromkeys(well, f"{datetime.now(UTC):%Y-%m-%d}")
    try:
        disk.folder(path.parent)
        disk.put(path, json.dumps(days, indent=0, sort_keys=True).encode(), mode=disk.PRIVATE)
    except (OSError, AirseedError):
        pass
    return days

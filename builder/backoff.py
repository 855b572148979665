"""When to ask a server again, and how long to wait before: for documents, files and bundles alike.

A connection that breaks is temporary, too; ``http.errors`` knows the exceptions that mean it.
"""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

TEMPORARY = frozenset({408, 425, 429, 500, 502, 503, 504, 509, 520, 521, 522, 523, 524, 529})
"""Statuses after which the same request may succeed later."""
REFUSALS = frozenset({429, 503})
"""Those by which a server asks for patience with all of its files."""
LONGEST_WAIT = 86_400.0
"""Seconds that a server's Retry-After is believed, at most; nobody here waits for so long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Bound the attempts in a row that bring nothing new, and space them; times are seconds."""

    attempts: int = 5
    first: float = 0.5
    """The pause after the first failure; doubled each time and scattered."""
    longest: float = 30.0
    sleep: Callable[[float], object] | None = None
    """Stands in for waiting."""

    def pause(self, failures: int, retry_after: float | None = None) -> float:
        """Return the pause after so many failures; never shorter than what the server asked for."""
        pause = min(self.first * 2.0 ** (failures - 1), self.longest)
        pause *= random.uniform(0.5, 1.0)  # noqa: S311 -- scatters clients, hides nothing
        return max(pause, retry_after or 0.0)

    def wait(self, seconds: float, cancelled: threading.Event) -> None:
        """Wait, but not when nothing more is wanted."""
        (self.sleep or cancelled.wait)(seconds)


def retry_after(text: str | None, date: str | None = None) -> float | None:
    """Read a Retry-After header, seconds or an HTTP date, as seconds: at least 0, at most a day.

    ``date`` is the answer's Date: when to come back is said by that clock, and ours may be wrong.
    """
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdecimal():
        return min(float(text[:9]), LONGEST_WAIT)
    moment, now = _moment(text), _moment(date or "") or dt.datetime.now(dt.UTC)
    if moment is None:
        return None
    return min(max((moment - now).total_seconds(), 0.0), LONGEST_WAIT)


def _moment(text: str) -> dt.datetime | None:
    import email.utils  # noqa: PLC0415 -- slow to load, and dates are rare

    try:
        moment = email.utils.parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)
    except (ValueError, TypeError, OverflowError):
        return None

"""Amounts as people read them: bytes in powers of ten, seconds in the two largest units."""

from __future__ import annotations

import re

_STEP = 1000
_BYTES = ("B", "kB", "MB", "GB", "TB", "PB")
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def size(count: float) -> str:
    """Return bytes as ``512 B``, ``1.2 MB`` or ``345 GB``: three digits at most."""
    amount, power = float(count), 0
    while abs(amount) >= _STEP - 0.5 and power < len(_BYTES) - 1:
        amount, power = amount / _STEP, power + 1
    digits = 1 if power and abs(amount) < 100 - 0.05 else 0
    return f"{amount:.{digits}f} {_BYTES[power]}"


def quantity(count: float, unit: str) -> str:
    """Return bytes (unit ``B``) as a size, and steps as ``7 images`` or ``1 image``."""
    if unit == "B":
        return size(count)
    number = f"{count:.0f}"
    if number == "1":
        unit = re.sub("ies$", "y", unit).removesuffix("s")
    return f"{number} {unit}".rstrip()


def duration(seconds: float) -> str:
    """Return ``8 s``, ``3 min 20 s``, ``2 h 5 min`` or ``1 d 3 h``."""
    whole = max(0, round(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"

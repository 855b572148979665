"""The user's cache folder, where runs find again what they fetched or built before."""

from __future__ import annotations

import os
from pathlib import Path


def folder() -> Path:
    """Give airseed's folder in the user's cache, as the XDG base directories have it."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(home) if home.startswith("/") else Path.home() / ".cache") / "airseed"

"""The user's cache folder, where runs find again what they fetched or built before."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from builder import owners
from builder.errors import StorageError, UsageError


def folder() -> Path:
    """Return airseed's folder in the user's cache, as the XDG base directories have it.

    Raise UsageError for a user who has no home, StorageError for a folder of another user: what is
    in it is run, where packages are built.
    """
    path = _place()
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        if whose := owners.stranger(path.stat()):
            raise StorageError(
                f"the cache {whose}",
                where=str(path),
                hint="remove it, or set XDG_CACHE_HOME to a folder of yours",
            )
    return path


def _place() -> Path:
    home = os.environ.get("XDG_CACHE_HOME", "")
    if home.startswith("/"):
        return Path(home) / "airseed"
    try:
        return Path.home() / ".cache" / "airseed"
    except RuntimeError as error:  # a user without an entry in passwd
        raise UsageError(
            "this user has no home directory, so there is nowhere to keep a cache",
            hint="set HOME, or XDG_CACHE_HOME to a folder",
        ) from error

"""A cache of things that take a while to make, each known by its recipe."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_FORMAT = 1
"""Raise it when the same recipe is to give something else."""


class BuildCache:
    """Keep folders by recipe; a folder is either whole or not there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def get(self, recipe: Any, make: Callable[[Path], Any]) -> tuple[Path, Any]:
        """Return the folder of a recipe (plain values) and what ``make`` returned for it.

        ``make`` gets an empty folder to fill and returns plain values to remember.
        """
        text = json.dumps([_FORMAT, recipe], sort_keys=True)
        path = self.folder / hashlib.sha256(text.encode()).hexdigest()[:32]
        facts = path / "facts.json"
        if not facts.exists():
            work = Path(tempfile.mkdtemp(dir=self.folder, prefix="part-"))
            try:
                value = make(work)
                (work / "facts.json").write_text(json.dumps(value), "utf-8")
                shutil.rmtree(path, ignore_errors=True)
                work.rename(path)
            finally:
                shutil.rmtree(work, ignore_errors=True)
        return path, json.loads(facts.read_text("utf-8"))

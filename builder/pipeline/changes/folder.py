"""The folder of one change: ``changes/NNN-words/`` beside the seeds' folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder import disk, owners
from builder.errors import StorageError
from builder.formats import running as running_format
from builder.render import changes as rendered
from builder.render.changes import playbook

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from builder.model.change import Change
    from builder.render.plan import Plan

CHANGE, RESULTS, GIVEN_UP = "change.json", "results", "given-up"
PLAYBOOK, INVENTORY, README = "playbook.yaml", "inventory.yaml", "README.md"


def written(folder: Path) -> list[Path]:
    """Return the ``change.json`` of every change in a folder, oldest first.

    What can't be looked into may be the change that is under way: raise StorageError, where glob
    would pass it by.
    """
    return [own / CHANGE for own in _inside(folder) if own.is_dir() and CHANGE in _names(own)]


def results(own: Path) -> list[Path]:
    """Return the results that lie in a change's folder; raise StorageError."""
    return [path for path in _inside(own / RESULTS) if path.suffix == ".json"]


def _inside(folder: Path) -> list[Path]:
    with disk.stored(folder):
        try:
            return sorted(folder.iterdir())
        except FileNotFoundError:
            return []


def _names(folder: Path) -> set[str]:
    return {path.name for path in _inside(folder)}


def write(folder: Path, change: Change, plans: Sequence[Plan], *, document: str) -> Path:
    """Write all that a change needs, ``change.json`` last; ``document`` is cluster.yaml's name.

    Raise StorageError.
    """
    own = folder / change.id
    for path in (folder, own, own / RESULTS):
        if fault := owners.untrusted(path, folder=True):
            raise StorageError("scripts can't be written there", where=str(path), faults=[fault])
        disk.folder(path)
        disk.tighten(path)
    if not (own / CHANGE).exists():  # what was begun there may have been another one
        try:
            for script in own.glob("*.sh"):
                script.unlink()
        except OSError as error:
            raise disk.failure(error, own) from error
    new = {new: old for stage in change.stages for old, new in stage.renamed.items()}
    nodes = (node for plan in plans for node in plan.cluster.nodes if node.address)
    addresses = {new.get(node.name, node.name): str(node.address) for node in nodes}
    files = {
        PLAYBOOK: playbook.playbook(change),
        INVENTORY: playbook.inventory(change, addresses),
        README: playbook.readme(change, plans[-1], addresses, document),
    }
    for name in change.nodes:
        _put(own / f"{name}.sh", rendered.script(change, plans, name).encode())
    for name, text in files.items():
        _put(own / name, text.encode())
    _put(own / CHANGE, running_format.change(change))
    return own


def give_up(own: Path, successor: str) -> None:
    """Note that another change takes the place of one; raise StorageError."""
    _put(own / GIVEN_UP, f"{successor}\n".encode())


def _put(path: Path, content: bytes) -> None:
    owners.put_changed(path, content, largest=running_format.LARGEST, sync=False)

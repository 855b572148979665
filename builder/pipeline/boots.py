"""How first boots stand, as ``serve --boots`` takes it in and ``status --from`` asks for it."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder import disk, owners
from builder.errors import AirseedError
from builder.formats import boots as boots_format
from builder.model.boots import Boots
from builder.pipeline import paths
from builder.pipeline.workspace import Workspace
from builder.serve.boots import BootBoard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from builder.report import Reporter


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Say whose first boots are watched."""

    cluster: Path
    state: Path | None = None
    """Where it is kept; None for the usual place."""


@contextmanager
def watched(watch: Watch, reporter: Reporter) -> Iterator[BootBoard]:
    """Begin with what the file of an earlier run has; it is written from then on.

    Raise DocumentError for a wrong cluster.yaml or a file that is none, StorageError where that
    can't be written.
    """
    outline = Workspace(watch.cluster).outline
    path = watch.state or paths.boots(watch.cluster)
    nodes = {node.name: node.role for node in outline.nodes}
    content = owners.read_own(path, boots_format.LARGEST)
    earlier = boots_format.read(content, str(path)) if content else None
    heard = {}
    if earlier and earlier.cluster == outline.name:
        heard = {name: each for name, each in earlier.heard.items() if name in nodes}
    known = Boots(cluster=outline.name, now=time.time(), nodes=nodes, heard=heard)

    def keep(boots: Boots) -> None:
        try:
            _write(path, boots)
        except AirseedError as error:  # they are still shown, and tried again with the next change
            reporter.warn(str(error), hint=error.fault.hint)

    _write(path, known)
    board = BootBoard(
        known,
        read=boots_format.read_post,
        write=boots_format.write,
        keep=keep,
        token=_token(paths.secrets(watch.cluster), reporter),
    )
    try:
        yield board
    finally:
        board.close()


def _token(secrets: Path, reporter: Reporter) -> str | None:
    """Read what the cluster's machines say with each post, where this machine has it."""
    from builder.secrets import store  # noqa: PLC0415 -- slow to load

    path = secrets / store.PHONE_HOME_TOKEN
    if path.exists():
        return store.load_phone_home_token(secrets)
    reporter.warn(
        f"{path} is missing: whatever is posted in the name of a node is shown",
        hint="copy it from where the seeds are made, mode 0600 in a folder 0700",
    )
    return None


def _write(path: Path, boots: Boots) -> None:
    disk.put(path, boots_format.write(boots), mode=disk.PRIVATE)

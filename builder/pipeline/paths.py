"""Where everything of one cluster usually is: named after its cluster.yaml, or after its lock.

Two clusters in one folder share nothing: whoever had one's authority would rule the other. So only
the files of a ``cluster.yaml`` have short names, and those of ``prod.yaml`` begin with ``prod.``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

BUNDLE = "bundle.tar"
_SUFFIXES = {".yaml", ".yml"}
_USUAL = "cluster"
"""What a file of which there is one in its folder is called, before its suffix."""


def is_cluster(path: Path) -> bool:
    """Tell a cluster.yaml, whatever it is called, from a lock or a bundle."""
    return path.suffix in _SUFFIXES


def lock(cluster: Path) -> Path:
    """Return cluster.lock beside cluster.yaml, NAME.lock beside NAME.yaml."""
    return cluster.with_suffix(".lock")


def documents(lock: Path) -> Path:
    """Return the folder of the documents that belong to a lock: cluster.lock.d, say."""
    return lock.with_name(f"{lock.name}.d")


def bundle(lock: Path) -> Path:
    """Return bundle.tar beside cluster.lock, NAME.tar beside NAME.lock."""
    return lock.with_name(BUNDLE if lock.stem == _USUAL else f"{lock.stem}.tar")


def delta(lock: Path) -> Path:
    """Return delta.tar beside cluster.lock, NAME.delta.tar beside NAME.lock."""
    return _own(lock, "delta.tar")


def secrets(cluster: Path) -> Path:
    """Return the folder secrets beside cluster.yaml, NAME.secrets beside NAME.yaml."""
    return _own(cluster, "secrets")


def seeds(cluster: Path) -> Path:
    """Return the folder seeds beside cluster.yaml, NAME.seeds beside NAME.yaml."""
    return _own(cluster, "seeds")


def changes(cluster: Path) -> Path:
    """Return the folder changes beside cluster.yaml, NAME.changes beside NAME.yaml."""
    return _own(cluster, "changes")


def boots(cluster: Path) -> Path:
    """Return boots.json beside cluster.yaml, NAME.boots.json beside NAME.yaml."""
    return _own(cluster, "boots.json")


def packer(cluster: Path) -> Path:
    """Return the folder packer beside cluster.yaml, NAME.packer beside NAME.yaml."""
    return _own(cluster, "packer")


def left_behind(cluster: Path) -> list[Path]:
    """Return secrets beside a cluster.yaml whose own is not there, as where it was renamed."""
    folders = [cluster.with_name("secrets"), *sorted(cluster.parent.glob("*.secrets"))]
    stems = {path: _USUAL if path.name == "secrets" else path.stem for path in folders}
    return [
        path
        for path, stem in stems.items()
        if path.is_dir()
        and not any(path.with_name(f"{stem}{suffix}").exists() for suffix in _SUFFIXES)
    ]


def _own(document: Path, name: str) -> Path:
    return document.with_name(name if document.stem == _USUAL else f"{document.stem}.{name}")

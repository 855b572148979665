"""Where the data trees are: ``mirrors/``, ``packer/`` and ``cloudinit-templates/``.

A checkout has them beside the package, a wheel has them inside it under ``_data/``. This is
the only place that knows the difference.
"""

from __future__ import annotations

from pathlib import Path

from builder.errors import AirseedError

_HERE = Path(__file__).resolve().parent


def tree(name: str) -> Path:
    for parent in (_HERE / "_data", _HERE.parent):
        folder = parent / name
        if folder.is_dir():
            return folder
    raise AirseedError(
        f"the data tree {name!r} is missing from this installation",
        where=str(_HERE),
        hint="install airseed again from its wheel or from a full checkout",
    )

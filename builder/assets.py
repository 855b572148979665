"""Where the data trees are: ``mirrors/``, ``packer/`` and ``cloudinit-templates/``.

A checkout has them beside the package, a wheel has them inside it under ``_data/``. This is
the only place that knows the difference.
"""

from __future__ import annotations

from pathlib import Path

from builder.errors import AirseedError, reason

_HERE = Path(__file__).resolve().parent
_AGAIN = "install airseed again from its wheel or from a full checkout"


def tree(name: str) -> Path:
    for parent in (_HERE / "_data", _HERE.parent):
        folder = parent / name
        if folder.is_dir():
            return folder
    raise AirseedError(
        f"the data tree {name!r} is missing from this installation",
        where=str(_HERE),
        hint=_AGAIN,
    )


def text(path: Path) -> str:
    """Read a file of airseed's own."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        what = f"a file of this installation is missing: {reason(error)}"
        raise AirseedError(what, where=str(path), hint=_AGAIN) from None

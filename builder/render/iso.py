"""A seed as an ISO 9660 image: what cloud-init's NoCloud reads from a disk called ``cidata``.

The label is in lower case, because cloud-init 18.2 compares it so. Joliet and Rock Ridge carry the
files' real names. All dates are the same and the files are sorted, so that the same seed always
gives the same bytes.
"""

from __future__ import annotations

import time
from functools import cache
from io import BytesIO
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

LABEL = "cidata"
_DATE = 315619200
"""1980-01-02: no reader of file systems takes it for a date before its own beginning."""
_FILE_MODE = 0o100444
_JOLIET = 3
_ROCK_RIDGE = "1.09"


_STOPPED_CLOCK = SimpleNamespace(
    **{**vars(time), "time": lambda: float(_DATE), "localtime": time.gmtime}
)
"""Stands for the module ``time`` inside pycdlib, which asks it for every date."""


@cache
def _pycdlib() -> Any:
    """Load pycdlib and stop its clock; it offers no other way, and nobody else here uses it."""
    import pycdlib  # noqa: PLC0415 -- only seeds need it
    import pycdlib.dates  # noqa: PLC0415
    import pycdlib.headervd  # noqa: PLC0415
    import pycdlib.pycdlib  # noqa: PLC0415
    import pycdlib.utils  # noqa: PLC0415

    for module in (pycdlib.dates, pycdlib.headervd, pycdlib.pycdlib, pycdlib.utils):
        vars(module)["time"] = _STOPPED_CLOCK
    return pycdlib


def render(files: Mapping[str, bytes]) -> bytes:
    """Return the image with these files at its top; their names have 8 letters and digits or more.

    The size is a multiple of 2,048 bytes.
    """
    iso = _pycdlib().PyCdlib()
    iso.new(
        interchange_level=3,
        vol_ident=LABEL,
        joliet=_JOLIET,
        rock_ridge=_ROCK_RIDGE,
        app_ident_str="airseed",
    )
    for name, content in sorted(files.items()):
        iso.add_fp(
            BytesIO(content),
            len(content),
            iso_path=f"/{_plain(name)}.;1",
            rr_name=name,
            joliet_path=f"/{name}",
            file_mode=_FILE_MODE,
        )
    written = BytesIO()
    iso.write_fp(written)
    iso.close()
    return written.getvalue()


def _plain(name: str) -> str:
    """ISO 9660 by itself knows capital letters, digits and underscores."""
    return "".join(letter if letter.isalnum() else "_" for letter in name.upper())

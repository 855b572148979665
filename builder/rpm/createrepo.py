"""createrepo_c, imported without the warning of the librpm inside it."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


def createrepo() -> Any:
    """Import createrepo_c.

    The librpm inside it reads its configuration when it is loaded and prints an error where rpm
    itself is not installed. Nothing that is done here depends on that configuration, so librpm
    gets an empty one (its own variable RPM_CONFIGDIR) in that moment, if there is no other.
    """
    with _configured():
        import createrepo_c  # noqa: PLC0415 -- heavy, and only locking and verifying need it

    return createrepo_c


@contextmanager
def _configured() -> Iterator[None]:
    if Path("/usr/lib/rpm/rpmrc").exists() or "RPM_CONFIGDIR" in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory() as folder:
        for name in ("rpmrc", "macros"):
            (Path(folder) / name).touch()
        os.environ["RPM_CONFIGDIR"] = folder
        try:
            yield
        finally:
            os.environ.pop("RPM_CONFIGDIR", None)

"""A yum repository whose packages exist in its metadata alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from primary import write_filelists, write_primary

from interop.programs import environment, run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from primary import P

_OTHER = "http://linux.duke.edu/metadata/other"


def write_repository(folder: Path, packages: Sequence[P]) -> None:
    """Write ``repodata`` below a folder; the same packages give the same metadata."""
    (folder / "repodata").mkdir(parents=True)
    scratch = folder / "scratch"
    scratch.mkdir()
    repomd = folder / "repodata" / "repomd.xml"
    repomd.write_text('<repomd xmlns="http://linux.duke.edu/metadata/repo"/>', "utf-8")
    texts = {
        "primary": write_primary(tuple(packages)),
        "filelists": write_filelists(tuple(packages)),
        "other": f'<otherdata xmlns="{_OTHER}" packages="{len(packages)}"></otherdata>',
    }
    for kind, text in texts.items():
        (scratch / f"{kind}.xml").write_text(text, "utf-8")
        run(
            "modifyrepo_c", f"--mdtype={kind}", "--compress-type=gz",
            scratch / f"{kind}.xml", repomd.parent, env=environment(folder),
        )  # fmt: skip

"""What nginx runs with in tests: in the foreground, and all that it writes lies in one folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_TEXT = """\
daemon off;
user root;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
  access_log {folder}/access.log;
  {temporary}
  types {{}}
  default_type application/octet-stream;
  {http}
}}
"""


def write(folder: Path, http: str) -> Path:
    """Write the configuration; ``http`` are its servers, and what else stands in that block."""
    temporary = " ".join(
        f"{name}_temp_path {folder}/{name};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    path = folder / "nginx.conf"
    path.write_text(_TEXT.format(folder=folder, temporary=temporary, http=http), "utf-8")
    return path

"""The ISO: its label, its names and its bytes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pycdlib

from builder.render import iso

FILES = {"user-data": b"#cloud-config\n", "meta-data": b"x: y\n" * 1000, "network-config": b""}
PROGRAM = """
import hashlib
from builder.render import iso
print(hashlib.sha256(iso.render({"user-data": b"a", "meta-data": b"b"})).hexdigest())
"""


def read(image: bytes, **path: str) -> bytes:
    disk = pycdlib.PyCdlib()
    disk.open_fp(BytesIO(image))
    try:
        found = BytesIO()
        disk.get_file_from_iso_fp(found, **path)
        return found.getvalue()
    finally:
        disk.close()


def test_every_file_is_there_under_its_real_name() -> None:
    image = iso.render(FILES)
    for name, content in FILES.items():
        assert read(image, joliet_path=f"/{name}") == content
        assert read(image, rr_path=f"/{name}") == content
    assert len(image) % 2048 == 0


def test_the_label_is_in_lower_case() -> None:
    image = iso.render(FILES)
    label = image[16 * 2048 + 40 : 16 * 2048 + 72]
    assert label == b"cidata".ljust(32)


def test_the_same_files_give_the_same_bytes_whenever_and_wherever(tmp_path: Path) -> None:
    backwards = dict(reversed(FILES.items()))
    assert iso.render(FILES) == iso.render(backwards)
    digests = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "TZ": zone},
            cwd=Path(iso.__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for zone in ("UTC", "Asia/Tokyo", "America/St_Johns")
    }
    here = iso.render({"user-data": b"a", "meta-data": b"b"})
    assert digests == {hashlib.sha256(here).hexdigest()}

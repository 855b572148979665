"""A pipe, a socket, a device or a folder wherever a verb takes a file: an error, and at once."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 60
"""No command takes that long, however slow the machine; a read of a pipe never ends."""
PLACE = "PLACE"
WAYS = {
    "lock": ["lock", PLACE],
    "lock of a list": ["lock", "listed.yaml"],
    "lock with authorities": ["lock", "cluster.yaml", "--ca-bundle", PLACE],
    "bundle": ["bundle", PLACE],
    "bundle by base": ["bundle", "cluster.lock", "--base", PLACE],
    "bundle by inventory": ["bundle", "cluster.lock", "--have", PLACE],
    "bundle signed": ["bundle", "cluster.lock", "--sign", PLACE],
    "verify": ["verify", PLACE],
    "verify by key": ["verify", "bundle.tar", "--require-signature", "--key", PLACE],
    "verify with signature": ["verify", "bundle.tar", "--key", "key.asc", "--signature", PLACE],
    "verify by inventory": ["verify", "bundle.tar", "--have", PLACE],
    "inspect": ["inspect", PLACE],
    "inspect by sbom": ["inspect", PLACE, "--sbom", "spdx"],
    "export": ["export", PLACE, "out"],
    "find-images": ["find-images", PLACE],
    "seeds": ["seeds", PLACE],
    "secrets": ["secrets", PLACE],
    "versions": ["versions", "--catalog", PLACE],
}
KINDS = ("pipe", "socket", "device", "folder")


def make(path: Path, kind: str) -> None:
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "socket":
            with socket.socket(socket.AF_UNIX) as bound:
                bound.bind(str(path))
        case "device":
            path.symlink_to("/dev/zero")
        case _:
            path.mkdir()


def try_(folder: Path, way: str, kind: str) -> None:
    made = folder / "made"
    make(made, kind)
    head = "kubernetes: 1.18.5\nnodes:\n  - {name: a, role: control-plane, address: 10.0.0.1}\n"
    (folder / "cluster.yaml").write_text(head, "utf-8")
    (folder / "listed.yaml").write_text(f"{head}os: {{base: {{packages: made}}}}\n", "utf-8")
    words = [str(made) if word == PLACE else word for word in WAYS[way]]
    done = subprocess.run(
        [sys.executable, "-m", "builder", *words],
        cwd=folder,
        env={**os.environ, "HOME": str(folder), "https_proxy": "http://127.0.0.1:9"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode in ({0, 1, 2, 3} if kind == "folder" else {1, 2, 3}), done.stderr
    assert "Traceback" not in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("way", "kind"),
    [
        ("lock", "pipe"),
        ("lock with authorities", "pipe"),
        ("bundle", "socket"),
        ("verify by key", "device"),
        ("bundle by inventory", "pipe"),
        ("inspect", "pipe"),
    ],
)
def test_what_is_no_file_is_an_error_at_once(tmp_path: Path, way: str, kind: str) -> None:
    try_(tmp_path, way, kind)


@pytest.mark.campaign
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", WAYS)
def test_every_way_and_kind(tmp_path: Path, way: str, kind: str) -> None:
    try_(tmp_path, way, kind)

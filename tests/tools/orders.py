"""An order for a small RPM with one of everything, and the files that go into it."""

from __future__ import annotations

import gzip
import io
import tarfile
from typing import TYPE_CHECKING

from builder.model.digest import Digest
from builder.model.recipe import Order, PackedFile, Program, Recipe
from builder.model.rpm import Nevra
from builder.rpm import build

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = b"\x7fELF a program" * 1000
UNIT = "[Service]\nExecStart=/usr/bin/agent\n"
SCRIPT = "systemctl daemon-reload >/dev/null 2>&1 || true\n"


def archive(members: dict[str, bytes], *, mode: int = 0o755, plain: tuple[str, ...] = ()) -> bytes:
    """Write a gzip'd tar; ``plain`` are members that are no programs."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile("", "wb", 6, packed, mtime=0) as file,
        tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as opened,
    ):
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644 if name in plain else mode
            opened.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


PLUGINS = archive(
    {"./bridge": b"bridge", "./loopback": b"loopback", "./LICENSE": b"words"}, plain=("./LICENSE",)
)
SOURCES = {
    "agent": ("https://home.example.org/agent", "https://copy.example.org/agent"),
    "plugins": ("https://home.example.org/plugins.tgz",),
}


def order(signer: str, *, builder: str | None = None, pinned: bool = True) -> Order:
    """Return the order of ``agent-1.18.5-0.airseed1.x86_64``."""
    digests = {"agent": Digest.of(PROGRAM), "plugins": Digest.of(PLUGINS)}
    return Order(
        recipe=Recipe(
            nevra=Nevra("agent", 0, "1.18.5", "0.airseed1", "x86_64"),
            summary="Runs things",
            licence="ASL 2.0",
            url="https://example.org/",
            requires=("iptables >= 1.4.21", "socat", "plugins < 2", "/bin/sh"),
            files=(
                PackedFile(path="/etc/agent", text="OPTIONS=\n", config=True),
                PackedFile(path="/opt/plugins", archive="plugins", folder=True),
                PackedFile(path="/usr/bin/agent", program="agent"),
                PackedFile(path="/usr/lib/systemd/system/agent.service", text=UNIT),
            ),
            scripts={"post": SCRIPT, "postun": SCRIPT},
            programs=tuple(
                Program(name=name, sources=urls, digest=digests[name] if pinned else None)
                for name, urls in SOURCES.items()
            ),
        ),
        builder=builder or build.builder(),
        signer=signer,
    )


def places(folder: Path) -> dict[str, Path]:
    """Write what comes out of programs and archives; return it by its paths in the RPM."""
    found = {
        "/usr/bin/agent": PROGRAM,
        "/opt/plugins/bridge": b"bridge",
        "/opt/plugins/loopback": b"loopback",
    }
    written = {}
    for number, (path, content) in enumerate(found.items()):
        written[path] = folder / str(number)
        written[path].write_bytes(content)
    return written

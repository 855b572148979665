"""``airseed demo DIR``: the whole way without a network, and again over what is there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

from builder.assets import tree
from builder.cli.root import run
from builder.formats import lock as lock_format
from builder.pipeline import init

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

LEFT = {
    "cluster.yaml",
    "cluster.schema.json",
    "cluster.lock",
    "cluster.lock.d",
    "bundle.tar",
    "bundle.tar.provenance.json",
    "secrets",
    "seeds",
}
STEPS = ["init", "lock", "bundle", "verify", "secrets", "seeds"]


def demo(folder: Path) -> str:
    """Run it with surroundings that would lead a careless program astray."""
    done = subprocess.run(
        [sys.executable, "-m", "builder", "demo", str(folder)],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder.parent),
            "HTTPS_PROXY": "http://127.0.0.1:9",
            "NO_PROXY": "*",
            "SSL_CERT_FILE": str(folder / "none.pem"),
            "DOCKER_CONFIG": str(folder.parent / "docker"),
        },
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_what_the_made_up_upstream_lacks_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cluster.yaml").write_text(
        "kubernetes: 1.18.5\nnodes:\n  - {name: a, role: control-plane, address: 10.0.0.1}\n"
        "extra: {packages: [tcpdump, emacs]}\n",
        "utf-8",
    )
    assert run(["demo", str(tmp_path)]) == 1
    err = capsys.readouterr().err
    stock = tmp_path / ".upstream/stock.txt"
    assert f"all that it has is listed in {stock}" in err
    assert "emacs: no package matches" in err
    listed = stock.read_text("utf-8").splitlines()
    assert "tcpdump-4.9.2-3.el7.x86_64" in {line.split("  ")[0] for line in listed}
    assert any(line.endswith("/pause:3.2") for line in listed)
    for name in init.examples():
        text = (tree("mirrors") / "examples" / f"{name}.yaml").read_text("utf-8")
        for package in re.findall(r"^# +packages: \[(.*)\]", text, re.MULTILINE):
            assert any(line.startswith(f"{package}-") for line in listed), package
        for image in re.findall(r"^# +images: \[(docker.io.*)\]", text, re.MULTILINE):
            assert image in listed


def test_the_whole_way_and_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "new" / "demo"
    output = demo(folder)
    steps = [line.split()[0] for line in output.splitlines()]
    assert [word for word in steps if word in STEPS] == STEPS
    assert "every digest, signature and reference is right" in output
    assert {path.name for path in folder.iterdir() if not path.name.startswith(".")} == LEFT
    assert {path.name for path in tmp_path.iterdir()} == {"new"}
    bundle = folder / "bundle.tar"
    assert run(["verify", "-q", str(bundle)]) == 0
    first = (folder / "cluster.lock").read_bytes(), bundle.stat().st_mtime_ns

    assert "was whole already" in demo(folder)
    assert ((folder / "cluster.lock").read_bytes(), bundle.stat().st_mtime_ns) == first

    document = folder / "cluster.yaml"
    document.write_text(document.read_text().replace("kubernetes: 1.18.5", "kubernetes: 1.19.5"))
    output = demo(folder)
    assert "init " not in output
    assert lock_format.read(folder / "cluster.lock").subject.kubernetes == "1.19.5"
    assert run(["verify", "-q", str(bundle)]) == 0
    assert capsys.readouterr().err == ""


def test_a_place_that_cannot_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert run(["demo", str(tmp_path / "file" / "x")]) == 1
    assert "not a directory" in capsys.readouterr().err

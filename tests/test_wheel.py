"""What is shipped: the files of sdist and wheel, and the wheel alone in an empty environment."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TREES = ("mirrors", "packer", "cloudinit-templates")
pytestmark = pytest.mark.wheel


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the sdist from the checkout, and the wheel from the sdist alone."""
    folder = tmp_path_factory.mktemp("dist")
    hatchling = [sys.executable, "-m", "hatchling", "build"]
    subprocess.run([*hatchling, "-t", "sdist", "-d", folder], cwd=ROOT, check=True)
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    source = folder / sdist.name.removesuffix(".tar.gz")
    subprocess.run([*hatchling, "-t", "wheel", "-d", folder], cwd=source, check=True)
    return folder


@pytest.fixture(scope="module")
def empty(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel and what it depends on; return the environment's bin folder."""
    folder = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    (wheel,) = dist.glob("*.whl")
    pip = [folder / "bin/python", "-m", "pip", "install", "--quiet", "--no-input"]
    subprocess.run([*pip, "--disable-pip-version-check", wheel], check=True)
    return folder / "bin"


def data_files() -> set[str]:
    """Return the files of the data trees as they lie in the checkout."""
    return {
        path.relative_to(ROOT).as_posix()
        for tree in TREES
        for path in (ROOT / tree).rglob("*")
        if path.is_file()
    }


def code_files() -> set[str]:
    """Return the files of the package as they lie in the checkout."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "builder").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_sdist_has_what_a_wheel_needs_and_nothing_else(dist: Path) -> None:
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers()}
    beside = {"CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml", "PKG-INFO", ".gitignore"}
    assert names == beside | code_files() | data_files()


def test_the_wheel_has_code_and_data_and_nothing_else(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    about = wheel.name.removesuffix("-py3-none-any.whl") + ".dist-info"
    metadata = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
    assert names == (
        {f"{about}/{name}" for name in metadata}
        | code_files()
        | {f"builder/_data/{name}" for name in data_files()}
    )


def run(program: Path, *arguments: str | Path, folder: Path) -> str:
    """Run an installed program far from the checkout; return its output."""
    # Nothing of the environment that runs the tests may help.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [program, *arguments],
        cwd=folder,
        env=clean,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_the_installed_wheel_finds_its_data(empty: Path, tmp_path: Path) -> None:
    script = f"from builder.assets import tree; print(*map(tree, {TREES}), sep='\\n')"
    found = run(empty / "python", "-c", script, folder=tmp_path).split()
    for name, place in zip(TREES, found, strict=True):
        assert Path(place).relative_to(empty.parent.resolve()).parts[-3:] == (
            "builder",
            "_data",
            name,
        )


def test_the_installed_wheel_goes_the_whole_way(empty: Path, tmp_path: Path) -> None:
    run(empty / "airseed", "demo", tmp_path / "here", folder=tmp_path)
    names = {path.name for path in (tmp_path / "here").iterdir()}
    assert {"cluster.yaml", "cluster.lock", "bundle.tar"} <= names
    run(empty / "airseed", "verify", tmp_path / "here/bundle.tar", folder=tmp_path)

"""Write the kit: one tar from which airseed is installed where no package index is.

For every Python and the platform that ``[tool.airseed.kit]`` in pyproject.toml names, uv resolves
what airseed depends on (pip would judge markers by the Python that runs it), and pip downloads
those wheels by digest. The same wheels make the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FILES = ("install", "Containerfile")
"""What goes into a kit as it lies here."""
PIP = "pip\n"
"""Installs the rest: the Python of the far side may come without it."""
_CHUNK = 1 << 20
_TIME = 315532800
"""1980-01-01, the first day that a wheel's own archive knows."""
_FEW = 20


class KitError(Exception):
    """Say why there is no kit."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="make kit", description=__doc__)
    parser.add_argument(
        "output", nargs="?", type=Path, help="default: dist/airseed-kit-VERSION.tar"
    )
    try:
        path = make(parser.parse_args().output)
    except KitError as error:
        print(f"make kit: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"{path} ({path.stat().st_size / 1e6:.0f} MB)")
    print(f"sha256:{_digest(path)}")
    return 0


def make(output: Path | None) -> Path:
    """Write a kit; return where it lies."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    settings = project["tool"]["airseed"]["kit"]
    name = f"airseed-kit-{project['project']['version']}"
    path = output or ROOT / "dist" / f"{name}.tar"
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="airseed-kit-") as work:
        folder = Path(work) / name
        wheels = folder / "wheels"
        wheels.mkdir(parents=True)
        (folder / "requirements").mkdir()
        _say("building airseed's own wheel")
        _run("-m", "hatchling", "build", "-t", "wheel", "-d", str(wheels))
        (own,) = wheels.iterdir()
        lacking = {}
        for python in settings["pythons"]:
            _say(f"collecting wheels for Python {python}")
            wanted = Path(work) / f"{python}.txt"
            try:
                _resolve(python, settings, wanted)
                found = _download(python, settings, wanted, Path(work) / python)
            except KitError as error:
                lacking[python] = str(error)
                _say(f"warning: the kit is not for Python {python}: {error}")
                continue
            for wheel in found:
                shutil.copyfile(wheel, wheels / wheel.name)
            lines = [_requirement(wheel) for wheel in sorted([own, *found])]
            (folder / "requirements" / f"{python}.txt").write_text("".join(lines))
        if len(lacking) == len(settings["pythons"]):
            raise KitError("there is no Python that all of it can be had for")
        _describe(folder, settings, lacking)
        _write(folder, path)
    return path


def _resolve(python: str, settings: dict[str, Any], output: Path) -> None:
    """Write which versions one Python gets, with the digests of all their files."""
    pip = output.with_suffix(".pip.in")
    pip.write_text(PIP)
    extras = [word for extra in settings["extras"] for word in ("--extra", extra)]
    _run(
        *("-m", "uv", "pip", "compile", "--quiet", "--no-config", "--generate-hashes"),
        *("--only-binary", ":all:", "--no-annotate", "--no-header", *extras),
        *("--python-version", python, "--python-platform", settings["resolve-for"]),
        *("pyproject.toml", str(pip), "-o", str(output)),
    )


def _download(python: str, settings: dict[str, Any], wanted: Path, folder: Path) -> list[Path]:
    """Fetch the wheels of one Python, each by its digest."""
    platforms = [word for platform in settings["platforms"] for word in ("--platform", platform)]
    _run(
        *("-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"),
        *("--require-hashes", "-r", str(wanted), "--only-binary=:all:", "-d", str(folder)),
        *("--implementation", "cp", "--python-version", python, *platforms),
    )
    return sorted(folder.iterdir())


def _requirement(wheel: Path) -> str:
    name, version = wheel.name.split("-")[:2]
    return f"{name}=={version} --hash=sha256:{_digest(wheel)}\n"


def _describe(folder: Path, settings: dict[str, Any], lacking: dict[str, str]) -> None:
    """Add what is read and run on the far side, and the digests of everything."""
    for name in FILES:
        shutil.copyfile(ROOT / "kit" / name, folder / name)
    (folder / "install").chmod(0o755)
    text = (ROOT / "kit" / "README.txt").read_text()
    pythons = [python for python in settings["pythons"] if python not in lacking]
    for word, value in (
        ("@NAME@", folder.name),
        ("@PYTHONS@", ", ".join(pythons)),
        ("@GLIBC@", settings["glibc"]),
    ):
        text = text.replace(word, value)
    if lacking:
        text += "\nNot for: Python " + ", ".join(lacking) + " (not everything had a wheel).\n"
    (folder / "README.txt").write_text(text)
    names = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    sums = "".join(f"{_digest(folder / name)}  {name.as_posix()}\n" for name in names)
    (folder / "SHA256SUMS").write_text(sums)


def _write(folder: Path, path: Path) -> None:
    """Write the tar beside its place and rename it."""
    part = path.with_name(f"{path.name}.part")
    try:
        with tarfile.open(part, "w", format=tarfile.PAX_FORMAT) as tar:
            for one in [folder, *sorted(folder.rglob("*"))]:
                member = tar.gettarinfo(one, one.relative_to(folder.parent).as_posix())
                member.uid = member.gid = 0
                member.uname = member.gname = ""
                member.mtime = _TIME
                member.mode = 0o755 if one.is_dir() or one.name == "install" else 0o644
                if one.is_file():
                    with one.open("rb") as file:
                        tar.addfile(member, file)
                else:
                    tar.addfile(member)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise KitError(f"{path}: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


def _run(*words: str) -> None:
    """Run a module of this Python in the checkout; its last words are the error's."""
    environment = {"SOURCE_DATE_EPOCH": str(_TIME), **os.environ}
    if index := os.environ.get("PIP_INDEX_URL"):
        environment.setdefault("UV_DEFAULT_INDEX", index)
    done = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = re.sub(r"\s+", " ", " ".join((done.stderr or done.stdout).splitlines()[-_FEW:]))
        raise KitError(f"{' '.join(words[1:3])}: {said.strip()}")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _say(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())

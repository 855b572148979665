"""The same bytes with the oldest and the newest of what airseed depends on, and for another user.

All run against one upstream's content; ``tests/pipeline/test_surroundings.py`` has what is cheap.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from interop.programs import environment, run
from packaging.requirements import Requirement
from surroundings import lock_and_bundle, under, unlike

if TYPE_CHECKING:
    from sandboxes import Sample, Sandbox

pytestmark = pytest.mark.interop
ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534
# it may read everything, since checkout and interpreter may lie below a home; write, only its own
AS_NOBODY = (
    "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
    "--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search", "--no-new-privs",
)  # fmt: skip


def dependencies() -> list[Requirement]:
    """Return what airseed needs on this Python."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    found = [Requirement(text) for text in project["dependencies"]]
    return [one for one in found if one.marker is None or one.marker.evaluate()]


def oldest() -> list[str]:
    """Return the lowest version of each that pyproject.toml allows."""
    found = []
    for one in dependencies():
        (lowest,) = [each.version for each in one.specifier if each.operator == ">="]
        found.append(f"{one.name}=={lowest}")
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    words: list[str | Path] = [
        sys.executable,
        "-m",
        "hatchling",
        "build",
        "-t",
        "wheel",
        "-d",
        folder,
    ]
    subprocess.run(words, cwd=ROOT, check=True)
    (found,) = folder.glob("*.whl")
    return found


def install(wheel: Path, folder: Path, *versions: str) -> tuple[str, ...]:
    """Install the wheel into an environment of its own; return the words that run it."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    pip: list[str | Path] = [
        python,
        "-m",
        "pip",
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
    ]
    words: list[str | Path] = ["install", "--only-binary", ":all:", wheel, *versions]
    subprocess.run([*pip, *words], check=True)
    listed = subprocess.run([*pip, "freeze"], check=True, capture_output=True, text=True).stdout
    direct = {_plain(one.name) for one in dependencies()}
    print(*[text for text in listed.split() if _plain(text.split("==")[0]) in direct])
    return (str(python), "-m", "builder")


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")


def expected(sandbox: Sandbox, sample: Sample) -> dict[str, tuple[str, bytes]]:
    """Return what this checkout leaves."""
    found = lock_and_bundle(sandbox)
    assert found["bundle.tar"][1] == sample.bundle.read_bytes()
    return found


def test_oldest_and_newest_dependencies_give_the_same_bytes(
    sample: Sample, wheel: Path, tmp_path: Path
) -> None:
    with sample.sandbox(tmp_path / "here" / "work", locked=False) as sandbox:
        ours = expected(sandbox, sample)
    for name, versions in (("oldest", oldest()), ("newest", [])):
        print(f"\n{name}: ", end="")
        program = install(wheel, tmp_path / name, *versions)
        with sample.sandbox(tmp_path / f"{name}-run" / "work", locked=False) as sandbox:
            sandbox.program = program
            assert unlike(lock_and_bundle(sandbox), ours) == [], name
            assert sandbox.run("verify", "bundle.tar").code == 0


@pytest.mark.parametrize(
    ("locale", "zone", "umask"),
    [("tr_TR.UTF-8", "Asia/Kathmandu", "077"), ("de_DE.ISO-8859-1", "America/St_Johns", "002")],
)
def test_another_user_and_locale_give_the_same_bytes(
    tools: None, sample: Sample, tmp_path: Path, locale: str, zone: str, umask: str
) -> None:
    with sample.sandbox(tmp_path / "here" / "work", locked=False) as sandbox:
        ours = expected(sandbox, sample)
    language, _, charset = locale.partition(".")
    locales = tmp_path / "locales"
    locales.mkdir()
    words = ("localedef", "-i", language, "-f", charset, str(locales / locale))
    run(*words, env=environment(tmp_path))
    with sample.sandbox(tmp_path / "there" / "work", locked=False) as sandbox:
        sandbox.environment |= {"LC_ALL": locale, "LOCPATH": str(locales), "TZ": zone}
        home = Path(sandbox.environment["HOME"])
        for folder in (sandbox.folder, home):
            os.chown(folder, NOBODY, NOBODY)
        assert unlike(lock_and_bundle(sandbox, *AS_NOBODY, *under(umask)), ours) == []
        written = [path for path in sandbox.folder.rglob("*") if path.name != "cluster.yaml"]
        assert {path.stat().st_uid for path in written} == {NOBODY}

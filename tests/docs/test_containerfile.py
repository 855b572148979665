"""The Containerfile of the kit: it names what a kit has, and docs build it in a way that works."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "kit" / "Containerfile"
DOCS = ("kit/Containerfile", "kit/README.txt", "docs/install.md", "docs/serve.md")
WORDS = {"ARG", "FROM", "COPY", "RUN", "ENV", "WORKDIR", "ENTRYPOINT"}


def instructions() -> list[tuple[str, list[str]]]:
    lines = re.sub(r"\\\n", " ", FILE.read_text("utf-8")).splitlines()
    return [
        (line.split()[0], line.split()[1:])
        for line in lines
        if line.strip() and not line.startswith("#")
    ]


def test_every_instruction_is_one_and_the_base_is_the_sites() -> None:
    parsed = instructions()
    assert {word for word, _ in parsed} <= WORDS
    assert parsed[0] == ("ARG", ["BASE"]), "no default: a name without digest means anything"
    assert [words[0] for word, words in parsed if word == "FROM"] == ["${BASE}"] * 2


def test_what_is_copied_is_there() -> None:
    parsed = instructions()
    stages = {words[2] for word, words in parsed if word == "FROM" and "AS" in words}
    made: set[str] = set()
    for word, words in parsed:
        if word == "RUN":
            assert words[0] == "/tmp/kit/install"  # noqa: S108 -- inside the image
            assert (ROOT / "kit" / "install").stat().st_mode & 0o111
            made.add(words[1])
        if word == "COPY" and words[0].startswith("--from="):
            assert words[0].partition("=")[2] in stages
            assert words[1] in made
            assert f"{words[2]}/bin:$PATH" in FILE.read_text("utf-8")
        elif word == "COPY":
            assert words == [".", "/tmp/kit"]  # noqa: S108 -- inside the image


def test_what_it_starts_is_airseeds_own_program() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert instructions()[-1] == ("ENTRYPOINT", ['["airseed"]'])
    assert "airseed" in settings["project"]["scripts"]


@pytest.mark.parametrize("path", DOCS)
def test_docker_is_told_which_file(path: str) -> None:
    """It looks for one by another name, and ends with an error about it."""
    commands = re.sub(r"\\\n#?", " ", (ROOT / path).read_text("utf-8")).splitlines()
    for command in commands:
        if "docker build" in command:
            assert re.search(r" -f (\S+/)?Containerfile ", command), command

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from builder.cli.root import VERBS, root, run

AIRSEED = Path(sys.executable).with_name("airseed")


def test_every_verb_has_its_file_and_no_file_is_forgotten() -> None:
    folder = Path(__file__).parents[2] / "builder/cli"
    files = {
        path.stem.replace("_", "-")
        for path in folder.glob("*.py")
        if "command(" in path.read_text("utf-8") and "@verb(" in path.read_text("utf-8")
    }
    assert files == set(VERBS)


@pytest.mark.parametrize("name", ["airseed", *VERBS])
def test_help(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    arguments = [] if name == "airseed" else [name]
    assert run([*arguments, "-h"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "..." not in out.partition("Options:")[2].replace("FILE...", "")  # nothing cut off
    assert ("Exit codes:" if name == "airseed" else "Examples:\n  airseed") in out
    assert all(len(line) <= 80 for line in out.splitlines())
    assert run([*arguments, "--help"]) == 0
    assert capsys.readouterr().out == out


@pytest.mark.parametrize("name", VERBS)
def test_every_example_is_understood(name: str) -> None:
    """Parse each example of a help text as far as the options go."""
    import click

    context = click.Context(root)
    command = root.get_command(context, name)
    assert command is not None
    lines = [line.strip() for line in command.examples.strip().splitlines()]  # type: ignore[attr-defined]
    assert lines
    for line in lines:
        words = line.partition(" > ")[0].split()
        assert words[:2] == ["airseed", name]
        parser = command.make_parser(click.Context(command))
        parser.parse_args(words[2:])


def test_without_a_verb_it_helps(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    bare = capsys.readouterr().out
    assert run(["--help"]) == 0
    assert capsys.readouterr().out == bare


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"airseed {version('airseed')}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["bundel"], "error: there is no command 'bundel'\n  hint: did you mean 'bundle'?\n"),
        (["version"], "error: there is no command 'version'\n  hint: airseed --version\n"),
        (["xyz"], "error: there is no command 'xyz'\n  hint: airseed --help lists them\n"),
    ],
)
def test_unknown_verbs(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    assert capsys.readouterr() == ("", words)


@pytest.mark.parametrize(
    "arguments",
    [["--nope"], ["init", "--nope"], ["completion"], ["completion", "tcsh"], ["verify", "/none"]],
)
def test_wrong_use_is_2_and_points_to_help(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.rstrip().endswith("--help")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("lock", "cluster.yaml|airseed init cluster.yaml makes it; or give the name of yours"),
        ("inspect a/cluster.lock", "a/cluster.lock|airseed lock a/cluster.yaml makes it; "),
        ("verify", "bundle.tar|airseed bundle cluster.lock makes it; or give the name of yours"),
        ("bundle", "cluster.lock|airseed lock cluster.yaml makes it; or give the name of yours"),
        ("find-images none.yaml", "none.yaml|airseed find-images --help"),
    ],
)
def test_a_file_that_is_not_there_is_named_with_what_makes_it(
    words: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(words.split()) == 2
    path, _, hint = message.partition("|")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error: {path}: there is no such file\n  hint: {hint}")


@pytest.mark.parametrize(
    "arguments", [["--color", "always", "bundel"], ["--color=always", "--quiet", "bundel"]]
)
def test_color_on_demand(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    run(arguments)
    assert capsys.readouterr().err.startswith("\x1b[31m\x1b[1merror:\x1b[0m there is no command")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", shell]) == 0
    assert f"_AIRSEED_COMPLETE={shell}_complete" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("airseed ver", {"plain,verify", "plain,versions"}),
        ("airseed lock --up", {"plain,--update"}),
        ("airseed init --example ", {"plain,single", "plain,ha"}),
        ("airseed explain machine.network.m", {"plain,machine.network.mtu"}),
    ],
)
def test_bash_completes(words: str, found: set[str]) -> None:
    position = words.count(" ")
    answer = subprocess.run(
        [AIRSEED],
        env={
            **os.environ,
            "_AIRSEED_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(position),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(answer.stdout.split()) == found


def test_bash_takes_the_script(tmp_path: Path) -> None:
    script = tmp_path / "airseed.bash"
    script.write_text(subprocess.check_output([AIRSEED, "completion", "bash"], text=True))
    program = f"source {script}; complete -p airseed"
    assert "_airseed_completion" in subprocess.check_output(["bash", "-c", program], text=True)


def test_a_closed_pipe_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [AIRSEED, "--help"], stdout=write, stderr=subprocess.PIPE, text=True, check=False
        )
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (1, "")

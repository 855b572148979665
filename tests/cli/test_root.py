from __future__ import annotations

import errno
import json
import os
import pty
import select
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from builder.cli.root import VERBS, root, run
from builder.pipeline.secrets import WORDS

if TYPE_CHECKING:
    from sandboxes import Sample

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
        words = line.partition(" > ")[0].rpartition(" | ")[2].split()
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
    "verb", ["lock", "bundle", "secrets", "seeds", "changes", "kubeconfig", "status"]
)
def test_a_bundle_in_the_place_of_a_document_is_known(
    verb: str, sample: Sample, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """However large it is."""
    copy = tmp_path / ("bundle.yaml" if verb == "bundle" else "bundle.tar")
    copy.symlink_to(sample.bundle)
    assert run([verb, str(copy)]) == 3
    output = capsys.readouterr()
    assert "this is a bundle, not a document" in output.err
    assert "hint: airseed inspect shows what is inside" in output.err
    assert "bytes" not in output.err


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (
            "secrets --catalog x",
            (
                "--catalog is an option of lock, bundle, mirror, seeds, changes, others; "
                "airseed secrets --help"
            ),
        ),
        ("seeds --rotate token", "--rotate is an option of secrets; airseed seeds --help"),
        ("lock --updat x", "did you mean '--update'? airseed lock --help"),
        (
            "init --json",
            (
                "--json is an option of lock, bundle, verify, inspect, publish, others; "
                "airseed init --help"
            ),
        ),
        ("init --zzzz", "airseed init --help"),
        ("serve --port", "airseed serve --help"),  # --out is near by its dashes alone
        ("verify -k x", "did you mean '--key'? airseed verify --help"),
        ("init -j", "airseed init --help"),
        ("lock --version", "it takes no verb: airseed --version"),
        ("lock --hlep", "did you mean '--help'? airseed lock --help"),
    ],
)
def test_an_option_of_other_verbs_is_known(
    words: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words.split()) == 2
    option = words.split()[1]
    assert capsys.readouterr().err == f"error: there is no option {option}\n  hint: {hint}\n"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (
            "--catalog X lock",
            "--catalog is an option of lock, and goes after it: airseed lock --catalog ...",
        ),
        (
            "--catalogs X lock",
            "--catalog is an option of lock, and goes after it: airseed lock --catalog ...",
        ),
        (
            "--catalog X secrets",
            (
                "--catalog is an option of lock, bundle, mirror, seeds, changes, others; "
                "airseed --help"
            ),
        ),
        ("--node=a seeds", ("--node is an option of seeds, and goes after it: airseed "
         "seeds --node ...")),
        ("-o x lock", "-o is an option of lock, and goes after it: airseed lock -o ..."),
        ("--verbos lock", "did you mean '--verbose'? airseed --help"),
        ("-c x lock", "airseed --help"),
        ("--zzzz", "airseed --help"),
    ],
)  # fmt: skip
def test_an_option_before_its_verb_is_told_its_place(
    words: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words.split()) == 2
    option = words.split(maxsplit=1)[0].partition("=")[0]
    assert capsys.readouterr().err == f"error: there is no option {option}\n  hint: {hint}\n"


def test_a_choice_that_is_missing_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion"]) == 2
    assert capsys.readouterr().err == (
        "error: missing argument '{bash|zsh|fish}'. Choose from: bash, zsh, fish\n"
        "  hint: airseed completion --help\n"
    )


def test_help_is_a_verb_too(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("", "bundle", "find-images"):
        assert run(["help", *name.split()]) == 0
        asked = capsys.readouterr().out
        assert run([*name.split(), "--help"]) == 0
        assert capsys.readouterr().out == asked
    assert run(["help", "bundel"]) == 2
    assert capsys.readouterr().err == (
        "error: there is no command 'bundel'\n  hint: did you mean 'bundle'?\n"
    )


JSON_VERBS = [
    name
    for name in VERBS
    for command in [root.get_command(click.Context(root), name)]
    if command and any(param.name == "as_json" for param in command.params)
]


@pytest.mark.parametrize("name", JSON_VERBS)
@pytest.mark.parametrize("wrong", ["--nope", "--color pink", "none/such.file extra words", "bad"])
def test_an_error_is_json_for_who_asked_for_json(
    name: str,
    wrong: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad").write_text("nodes: [}\n")
    code = run([name, "--json", *wrong.split()])
    out, err = capsys.readouterr()
    shown = json.loads(out)
    assert code != 0
    assert code != 70
    if "error" in shown:
        assert shown["error"]["exitCode"] == code
        fault = {"where", "what", "expected", "hint"}
        assert set(shown["error"]) == {"exitCode", *fault, "faults", "warnings"}
        assert all(set(one) == fault for one in shown["error"]["faults"])
        where = shown["error"]["where"]
        prefix = f"{where}: " if where else ""
        assert f"error: {prefix}{shown['error']['what']}\n" in err
    else:
        assert {"verify", "status"} == {"verify", "status"} | {name}  # the fault is their result


def test_home_is_found_where_no_shell_looked_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert run(["init", "~/site/"]) == 0
    assert run(["secrets", "~/site/cluster.yaml"]) == 0
    assert run(["kubeconfig", "~/site/cluster.yaml", "--output=~/a.conf", "--server=h"]) == 0
    assert (tmp_path / "a.conf").exists()


def test_a_folder_that_may_not_be_looked_into_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(self: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "lstat", refused)
    assert run(["lock", str(tmp_path / "cluster.yaml")]) == 2
    assert "cluster.yaml: permission denied\n  hint: check the " in capsys.readouterr().err


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


@pytest.mark.parametrize("verb", ["find-images", "lock", "verify", "bundle"])
def test_a_url_is_no_file(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([verb, "https://ops:secret@example.com/a.yaml"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "error: https://example.com/a.yaml: a URL is no file of this machine\n"
        "  hint: fetch it first (curl -LO URL), and name the file\n"
    )


@pytest.mark.parametrize("url", ["HTTPS://example.com/a.yaml", "s3://b/a.yaml", "Oci://h/a:1"])
def test_a_url_is_known_by_any_scheme(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lock", url]) == 2
    assert f"error: {url}: a URL is no file of this machine\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("my", "my/cluster.yaml"),
        ("new/prod", "new/prod/cluster.yaml"),
        ("new/", "new/cluster.yaml"),
        (".", "cluster.yaml"),
        ("folder", "folder/cluster.yaml"),
        ("prod.yaml", "prod.yaml"),
        ("new/prod.yml", "new/prod.yml"),
        ("empty", "empty"),
    ],
)
def test_init_makes_a_folder_of_a_new_name(
    name: str,
    made: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As git, cargo and helm do; what is there already, or has a suffix, is as it looks."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").touch()
    assert run(["init", "--example", "ha", name]) == 0
    assert (tmp_path / made).read_text("utf-8").startswith("# yaml-language-server")
    assert capsys.readouterr().err == f"wrote {made}; next: airseed lock {made}\n"


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
        ("airseed init --example ", {"plain,single", "plain,ha", "plain,hardened"}),
        ("airseed explain machine.network.m", {"plain,machine.network.mtu"}),
        ("airseed help sta", {"plain,status"}),
        ("airseed secrets --rotate ", {f"plain,{name}" for name in WORDS}),
        ("airseed versions 1.29.1", {f"plain,1.29.1{n}" for n in ("", *"012345")}),
        ("airseed lock c", {"file,c"}),
        ("airseed verify --key fi", {"file,fi"}),
        ("airseed inventory ./r", {"file,./r"}),
        ("airseed seeds -o ./", {"dir,./"}),
        ("airseed seeds --node k", set()),
        ("airseed inspect --why x", set()),
    ],
)
def test_bash_completes(words: str, found: set[str], tmp_path: Path) -> None:
    assert set(completed(words, tmp_path).split()) == found


def completed(words: str, folder: Path) -> str:
    """Return what bash is offered in a folder; nothing may be said beside it."""
    answer = subprocess.run(
        [AIRSEED],
        env={
            **os.environ,
            "_AIRSEED_COMPLETE": "bash_complete",
            "COMP_LINE": words,
            "COMP_POINT": str(len(words)),
            "COMP_WORDBREAKS": " =:",
        },
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stderr == ""
    return answer.stdout


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("airseed seeds --node k8s0", "k8s01 k8s02 k8s03 k8s04 k8s05"),
        ("airseed seeds other.yaml --node ", "alone"),
        ("airseed seeds broken.yaml --node ", ""),
        ("airseed changes --applied ", "001-upgrade-1.19.5"),
        ("airseed packer --builder q", "qemu"),
        ("airseed inspect --why libsec", "libseccomp"),
        ("airseed inspect BUNDLE --why libsec", "libseccomp"),
        ("airseed lock --update kube", "kubeadm kubectl kubelet kubernetes-cni kubernetes-el7"),
        ("airseed export BUNDLE --image k8s.gcr.io/pa", "k8s.gcr.io/pause:3.2"),
        ("airseed export BUNDLE --image k8s.gcr.io/pause:", "3.2"),
        ("airseed export BUNDLE --image 'k8s.gcr.io/pause:", "k8s.gcr.io/pause:3.2"),
        ("airseed export BUNDLE --image=k8s.gcr.io/pause:3", "3.2"),
        ("airseed seeds --node=k8s05", "k8s05"),
        ("airseed export BUNDLE --platform ", "linux/amd64"),
        ("airseed verify BUNDLE --key ", "KEYS"),
    ],
)
def test_values_are_completed_out_of_the_documents(
    words: str, found: str, sample: Sample, tmp_path: Path
) -> None:
    for name in ("cluster.yaml", "cluster.lock"):
        shutil.copy(sample.folder / name, tmp_path)
    keys = sorted({file.fingerprint for file in sample.lock.files if file.fingerprint})
    (tmp_path / "other.yaml").write_text(
        "nodes:\n  - {name: alone, role: control-plane, address: 10.0.0.1}\nkubernetes: 1.18.5\n"
    )
    (tmp_path / "broken.yaml").write_text("nodes: [")
    (tmp_path / "changes" / "001-upgrade-1.19.5").mkdir(parents=True)
    answer = completed(words.replace("BUNDLE", str(sample.bundle)), tmp_path)
    values = [line.partition(",")[2] for line in answer.split()]
    assert [value for value in values if value] == found.replace("KEYS", " ".join(keys)).split()


@pytest.mark.parametrize(
    ("words", "more"),
    [
        ("airseed export BUNDLE --image k8s.gcr.io/pause:", b"3.2 "),
        ("airseed inspect BUNDLE --why=k8s.gcr.io/pau", b"se:3.2 "),
        ("airseed seeds --node=k8s0", b"k8s01  k8s02  k8s03"),
        ("airseed inspect BUNDLE --why cal", b"ico "),
    ],
)
def test_a_person_at_bash_presses_tab(
    words: str, more: bytes, sample: Sample, tmp_path: Path
) -> None:
    """Readline itself, which breaks words at = and :, in a terminal of its own."""
    script = tmp_path / "airseed.bash"
    script.write_text(subprocess.check_output([AIRSEED, "completion", "bash"], text=True))
    shutil.copy(sample.folder / "cluster.yaml", tmp_path)
    (tmp_path / "b.tar").symlink_to(sample.bundle)
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "dumb", "PATH": f"{AIRSEED.parent}:{os.environ['PATH']}"}
    shell = subprocess.Popen(
        ["bash", "--noprofile", "--norc", "-i"],
        cwd=tmp_path,
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        os.write(ours, b"stty cols 200; source airseed.bash; echo rea''dy\n")
        read_until(ours, b"ready\r\n")
        os.write(ours, words.replace("BUNDLE", "b.tar").encode() + b"\t\t")
        read_until(ours, more)
    finally:
        shell.kill()
        shell.wait()
        os.close(ours)


def read_until(terminal: int, end: bytes) -> None:
    said = b""
    while end not in said:
        assert select.select([terminal], [], [], 30)[0], said
        said += os.read(terminal, 4096)


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


@pytest.mark.parametrize(("words", "code"), [(["versions"], 0), (["versions", "--json"], 0)])
def test_who_has_seen_enough_changes_no_exit_code(words: list[str], code: int) -> None:
    """As ``airseed versions | head -1`` under ``pipefail``."""
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [AIRSEED, *words], stdout=write, stderr=subprocess.PIPE, text=True, check=False
        )
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (code, "")

from __future__ import annotations

import errno
import json

import click
import pytest
import requests

from builder.cli.console import Console
from builder.cli.failure import report
from builder.errors import (
    AirseedError,
    ClosureError,
    DocumentError,
    Fault,
    FetchError,
    UnavailableError,
    UsageError,
)

MISTAKES = DocumentError(
    "cluster.yaml",
    [
        Fault(
            where="nodes[2].address",
            what="is used by nodes[0], too",
            expected="an address of its own",
        ),
        Fault(where="kubernets", what="unknown key", hint="did you mean 'kubernetes'?"),
        Fault(where="", what="has no nodes"),
    ],
    hint="airseed schema describes every key",
)
ALL_SOURCES = UnavailableError(
    "no source gave it",
    where="sha256:0123456789ab",
    expected="4096 bytes",
    faults=[Fault(where="https://a.example/x", what="404 Not Found")],
)


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (
            MISTAKES,
            3,
            """\
error: cluster.yaml: 3 mistakes
  nodes[2].address: is used by nodes[0], too
    expected an address of its own
  kubernets: unknown key
    hint: did you mean 'kubernetes'?
  has no nodes
  hint: airseed schema describes every key
""",
        ),
        (
            ALL_SOURCES,
            1,
            """\
error: sha256:0123456789ab: no source gave it
  expected 4096 bytes
  https://a.example/x: 404 Not Found
""",
        ),
        (
            ClosureError(
                "the packages can't be installed: ntp: not found",
                hint="check it",
                faults=[Fault(where="ntp", what="not found", hint="check it")],
            ),
            1,
            "error: the packages can't be installed: ntp: not found\n  hint: check it\n",
        ),
        (UsageError("--a goes not with --b"), 2, "error: --a goes not with --b\n"),
        (
            FetchError("the server hung up", where="https://a.example/x", hint="try again"),
            1,
            "error: https://a.example/x: the server hung up\n  hint: try again\n",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "/etc/shadow"),
            1,
            "error: /etc/shadow: permission denied\n",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            1,
            "error: no space left on device\n",
        ),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 1, ""),
        (
            KeyboardInterrupt(),
            130,
            "interrupted; whatever was fetched is kept for the next run\n",
        ),
        (
            click.BadParameter("'x' is not a number."),
            2,
            "error: invalid value: 'x' is not a number\n",
        ),
        (
            AirseedError("a word of \x1b[31m a server\u202e"),
            1,
            "error: a word of \\x1b[31m a server\\u202e\n",
        ),
    ],
)
def test_every_error_in_words(
    error: BaseException, code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(error, Console()) == code
    assert capsys.readouterr() == ("", words)


def test_warnings_stand_before_the_mistakes(capsys: pytest.CaptureFixture[str]) -> None:
    remark = Fault(where="nodes", what="2 control planes", hint="take 3")
    error = DocumentError("c.yaml", [Fault(where="endpoint", what="is missing")], remarks=[remark])
    assert report(error, Console()) == 3
    assert capsys.readouterr().err == (
        "warning: nodes: 2 control planes\n  hint: take 3\n"
        "error: c.yaml: 1 mistake\n  endpoint: is missing\n"
    )


def test_a_bug_keeps_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError) as caught:
        {}["here"]
    assert report(caught.value, Console()) == 70
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Traceback (most recent call last):\n")
    assert err.endswith(
        "error: KeyError: 'here'\n"
        "  this is a bug in airseed; please report it with the lines above\n"
    )


def test_verbose_tells_what_lies_behind(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console()
    console.verbose = True
    error = AirseedError("cannot read it")
    error.__cause__ = ValueError("no digits")
    error.__cause__.__cause__ = error  # a ring must not hang it
    report(error, console)
    assert capsys.readouterr().err == (
        "error: cannot read it\n  because: ValueError: no digits\n"
        "  because: AirseedError: cannot read it\n"
    )


def test_a_librarys_own_words_are_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console()
    console.verbose = True
    error = AirseedError("cannot be reached")
    error.__cause__ = requests.ConnectionError("url: /x?X-Amz-Signature=SECRET")
    report(error, console)
    assert capsys.readouterr().err == "error: cannot be reached\n  because: ConnectionError\n"


@pytest.mark.parametrize(
    ("error", "value"),
    [
        (KeyboardInterrupt(), (130, None, "interrupted; whatever was fetched is kept ", None)),
        (KeyError("x"), (70, None, "KeyError: 'x'", "this is a bug in airseed; please report ")),
        (
            PermissionError(errno.EACCES, "Permission denied", "/etc/shadow"),
            (1, "/etc/shadow", "permission denied", None),
        ),
        (MISTAKES, (3, "cluster.yaml", "3 mistakes", "airseed schema describes every key")),
    ],
)
def test_for_a_script_an_error_is_one_document(
    error: BaseException,
    value: tuple[int, str | None, str, str | None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    console = Console()
    console.wants_json = True
    report(error, console)
    out, err = capsys.readouterr()
    shown = json.loads(out)["error"]
    code, where, what, hint = value
    assert (shown["exitCode"], shown["where"]) == (code, where)
    assert shown["what"].startswith(what)
    assert (shown["hint"] or "").startswith(hint or "")
    assert len(shown["faults"]) == len(getattr(error, "faults", ()))
    assert err
    report(error, console)
    assert capsys.readouterr().out == ""  # never a second document


def test_quiet_errors_are_still_told(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console()
    console.quiet = True
    report(MISTAKES, console)
    assert len(capsys.readouterr().err.splitlines()) == 7

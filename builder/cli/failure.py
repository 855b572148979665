"""The one place that turns what was raised into words and an exit code."""

from __future__ import annotations

import errno
import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from builder.errors import AirseedError, DocumentError, Fault, UsageError, reason

if TYPE_CHECKING:
    from builder.cli.console import Console

INTERRUPTED = 130
"""128 + SIGINT, as shells count."""
BUG = 70
"""EX_SOFTWARE of sysexits.h."""
_UNLOADED = re.compile("failed to map segment|annot allocate memory")
"""What the loader says of a library for which there is no room."""
_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}
"""What only a disk says, also where no library tells which file it was about."""
_BUG_HINT = "this is a bug in airseed; please report it with the lines above"


def report(error: BaseException, console: Console) -> int:
    """Put an exception into words on standard error; give the exit code.

    A script that asked for JSON gets the same as a document on standard output.
    """
    match error:
        case SystemExit():
            return error.code if isinstance(error.code, int) else 1
        case OSError() if error.errno == errno.EPIPE:
            return 1
    code, fault = _said(error, console)
    if console.wants_json and not console.answered:
        console.json({"error": _value(error, code, fault)})
    return code


def _said(error: BaseException, console: Console) -> tuple[int, Fault]:
    match error:
        case AirseedError():
            _known(error, console)
            return error.exit_code, error.fault
        case click.ClickException():
            context = getattr(error, "ctx", None)
            message = " ".join(map(str.strip, error.format_message().splitlines()))
            fault = Fault(
                where="",
                what=message[:1].lower() + message[1:].rstrip("."),
                hint=f"{context.command_path} --help" if context is not None else None,
            )
            code = UsageError.exit_code
        case click.Abort() | KeyboardInterrupt():
            text = "interrupted; whatever was fetched is kept for the next run"
            console.note(text)
            return INTERRUPTED, Fault(where="", what=text)
        case OSError() if error.filename is not None or error.errno in _OF_THE_DISK:
            # A file that cannot be read or written is the world's doing, wherever it was met.
            fault = Fault(
                where=str(error.filename) if error.filename is not None else "",
                what=reason(error),
                hint=(_lack(error) or ("", None))[1],
            )
            code = AirseedError.exit_code
        case _ if lack := _lack(error):
            fault = Fault(where="", what=lack[0], hint=lack[1])
            code = AirseedError.exit_code
        case _:
            _bug(error, console)
            return BUG, Fault(where="", what=f"{type(error).__name__}: {error}", hint=_BUG_HINT)
    console.error(_head(fault))
    _advice(fault, console, "  ")
    return code, fault


def _lack(error: BaseException) -> tuple[str, str] | None:
    """Return what the machine or its limits lack, and what to do; the program is right then."""
    words = str(error)
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, MemoryError) or number == errno.ENOMEM or _UNLOADED.search(words):
        return "there is not enough memory", (
            "end other programs, or raise the limit (ulimit -v, or that of the container or unit)"
        )
    if "can't start new thread" in words or number == errno.EAGAIN:
        return "no more threads can be started", (
            "raise the limit of processes (ulimit -u, pids.max) or of memory; --workers takes fewer"
        )
    if (
        "No usable temporary directory" in words
    ):  # tempfile names neither a number of its own nor a file
        return "no folder for temporary files can be written", (
            "free some space there, or name another one: TMPDIR=/path airseed ..."
        )
    if number in {errno.EMFILE, errno.ENFILE}:
        return "too many files are open", "raise the limit: ulimit -n"
    return None


def _value(error: BaseException, code: int, fault: Fault) -> dict[str, Any]:
    return {
        "exitCode": code,
        **asdict(fault),
        "where": fault.where or None,
        "faults": [asdict(single) for single in getattr(error, "faults", ())],
        "warnings": [asdict(remark) for remark in getattr(error, "remarks", ())],
    }


def _known(error: AirseedError, console: Console) -> None:
    fault = error.fault
    if isinstance(error, DocumentError):
        for remark in error.remarks:
            console.warn(str(remark), hint=remark.hint)
    console.error(_head(fault))
    _advice(fault, console, "  ", skip_hint=True)
    # a lone fault may be the head already
    shown = len(error.faults) == 1 and _head(fault).endswith(str(error.faults[0]))
    for single in () if shown else error.faults:
        console.note(f"  {_head(single)}")
        _advice(single, console, "    ")
    if fault.hint:
        console.note(f"  hint: {fault.hint}")
    if console.verbose:
        for cause in _causes(error):
            # a library's own words may have a URL's secrets in them
            ours = isinstance(cause, AirseedError) or type(cause).__module__ == "builtins"
            console.detail(f"  because: {type(cause).__name__}{f': {cause}' if ours else ''}")


def _head(fault: Fault) -> str:
    return f"{fault.where}: {fault.what}" if fault.where else fault.what


def _advice(fault: Fault, console: Console, indent: str, *, skip_hint: bool = False) -> None:
    if fault.expected:
        console.note(f"{indent}expected {fault.expected}")
    if fault.hint and not skip_hint:
        console.note(f"{indent}hint: {fault.hint}")


def _causes(error: BaseException) -> list[BaseException]:
    causes: list[BaseException] = []
    cause = error.__cause__
    while cause is not None and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__
    return causes


def _bug(error: BaseException, console: Console) -> None:
    import traceback

    console.note("".join(traceback.format_exception(error)).rstrip())
    console.error(f"{type(error).__name__}: {error}")
    console.note(f"  {_BUG_HINT}")

"""The one place that turns what was raised into words and an exit code."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import click

from builder.errors import AirseedError, DocumentError

if TYPE_CHECKING:
    from builder.cli.console import Console
    from builder.errors import Fault

INTERRUPTED = 130
"""128 + SIGINT, as shells count."""
BUG = 70
"""EX_SOFTWARE of sysexits.h."""


def report(error: BaseException, console: Console) -> int:
    """Put an exception into words on standard error; give the exit code."""
    match error:
        case AirseedError():
            _known(error, console)
            code = error.exit_code
        case click.ClickException():
            _usage(error, console)
            code = 2
        case click.Abort() | KeyboardInterrupt():
            console.note(
                "interrupted; what is finished is kept, the same command goes on from there"
            )
            code = INTERRUPTED
        case SystemExit():
            code = error.code if isinstance(error.code, int) else 1
        case OSError() if error.errno == errno.EPIPE:
            code = 1
        case OSError() if error.filename is not None or error.errno == errno.ENOSPC:
            # A file that cannot be read or written is the world's doing, wherever it was met.
            where = f"{error.filename}: " if error.filename is not None else ""
            console.error(f"{where}{(error.strerror or str(error)).lower()}")
            code = 1
        case _:
            _bug(error, console)
            code = BUG
    return code


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


def _usage(error: click.ClickException, console: Console) -> None:
    message = error.format_message()
    console.error(message[:1].lower() + message[1:].rstrip("."))
    context = getattr(error, "ctx", None)
    if context is not None:
        console.note(f"  hint: {context.command_path} --help")


def _bug(error: BaseException, console: Console) -> None:
    import traceback

    console.note("".join(traceback.format_exception(error)).rstrip())
    console.error(f"{type(error).__name__}: {error}")
    console.note("  this is a bug in airseed; please report it with the lines above")

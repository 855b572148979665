"""The one place that turns what was raised into words and an exit code."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import click

from builder.errors import AirseedError, DocumentError

if TYPE_CHECKING:
    from builder.cli.voice import Voice
    from builder.errors import Fault

INTERRUPTED = 130
"""128 + SIGINT, as shells count."""
BUG = 70
"""EX_SOFTWARE of sysexits.h."""


def tell(error: BaseException, voice: Voice) -> int:
    """Put an exception into words on standard error; give the exit code."""
    match error:
        case AirseedError():
            _known(error, voice)
            code = error.exit_code
        case click.ClickException():
            _usage(error, voice)
            code = 2
        case click.Abort() | KeyboardInterrupt():
            voice.note("interrupted; what is finished is kept, the same command goes on from there")
            code = INTERRUPTED
        case SystemExit():
            code = error.code if isinstance(error.code, int) else 1
        case OSError() if error.errno == errno.EPIPE:
            code = 1
        case OSError() if error.filename is not None or error.errno == errno.ENOSPC:
            # A file that cannot be read or written is the world's doing, wherever it was met.
            where = f"{error.filename}: " if error.filename is not None else ""
            voice.error(f"{where}{(error.strerror or str(error)).lower()}")
            code = 1
        case _:
            _bug(error, voice)
            code = BUG
    return code


def _known(error: AirseedError, voice: Voice) -> None:
    fault = error.fault
    if isinstance(error, DocumentError):
        for remark in error.remarks:
            voice.warn(str(remark), hint=remark.hint)
    voice.error(_head(fault))
    _advice(fault, voice, "  ", skip_hint=True)
    # a lone fault may be the head already
    told = len(error.faults) == 1 and _head(fault).endswith(str(error.faults[0]))
    for single in () if told else error.faults:
        voice.note(f"  {_head(single)}")
        _advice(single, voice, "    ")
    if fault.hint:
        voice.note(f"  hint: {fault.hint}")
    if voice.verbose:
        for cause in _causes(error):
            # a library's own words may have a URL's secrets in them
            ours = isinstance(cause, AirseedError) or type(cause).__module__ == "builtins"
            voice.detail(f"  because: {type(cause).__name__}{f': {cause}' if ours else ''}")


def _head(fault: Fault) -> str:
    return f"{fault.where}: {fault.what}" if fault.where else fault.what


def _advice(fault: Fault, voice: Voice, indent: str, *, skip_hint: bool = False) -> None:
    if fault.expected:
        voice.note(f"{indent}expected {fault.expected}")
    if fault.hint and not skip_hint:
        voice.note(f"{indent}hint: {fault.hint}")


def _causes(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    cause = error.__cause__
    while cause is not None and cause not in found:
        found.append(cause)
        cause = cause.__cause__
    return found


def _usage(error: click.ClickException, voice: Voice) -> None:
    message = error.format_message()
    voice.error(message[:1].lower() + message[1:].rstrip("."))
    context = getattr(error, "ctx", None)
    if context is not None:
        voice.note(f"  hint: {context.command_path} --help")


def _bug(error: BaseException, voice: Voice) -> None:
    import traceback

    voice.note("".join(traceback.format_exception(error)).rstrip())
    voice.error(f"{type(error).__name__}: {error}")
    voice.note("  this is a bug in airseed; please report it with the lines above")

"""Options in, words out: one file per verb (owns click and rich).

``builder.cli.VERB`` holds ``command`` and ``root`` finds it; ``console`` prints; ``failure`` turns
what was raised into a message and an exit code. At start-up only click is imported, so that
``airseed --help`` and shell completion answer at once.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_INTERRUPTED = 128 + signal.SIGINT
"""As shells count."""


def _open_closed() -> None:
    """Let what the caller closed (2>&-) lead nowhere.

    Else the next file that is opened would take its number, and get what libraries write there.
    """
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
        if getattr(sys, name) is None:
            mode = "w" if descriptor else "r"
            setattr(sys, name, open(descriptor, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 -- a descriptor, for as long as the program runs


def _written(code: int) -> int:
    """Write what is still held back; give the exit code, 1 where standard output takes nothing.

    Python itself would do it last, and say in its own words what went wrong.
    """
    for number, stream in enumerate((sys.stdout, sys.stderr), 1):
        try:
            stream.flush()
        except (OSError, ValueError) as error:
            from builder.cli.console import silence

            silence(number)
            left = isinstance(error, BrokenPipeError)  # the reader has seen enough
            code = code or (0 if left or number > 1 else 1)
    return code


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command line and exit with its code (see :mod:`builder.errors` for the codes)."""
    # What is loaded lives to the end: to look through it for garbage while it loads, and once more
    # when all is over, takes a sixth of a short run.
    gc.set_threshold(20_000)
    _open_closed()
    if not sys.warnoptions:
        # what libraries warn their users of (urllib3 of a clock) nobody else can make use of
        warnings.simplefilter("ignore")
    try:
        from builder.cli.root import run

        code = _written(run(sys.argv[1:] if arguments is None else list(arguments)))
    except KeyboardInterrupt:  # before there was anybody to put it into words
        code = _INTERRUPTED
    if code == _INTERRUPTED:
        # threads may hang in what nobody can end, such as a look-up, and hold what the
        # interpreter would want at its end
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
    gc.freeze()
    sys.exit(code)

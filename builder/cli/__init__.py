"""Options in, words out: one file per verb (owns click and rich).

``builder.cli.VERB`` holds ``command`` and ``root`` finds it; ``console`` prints; ``failure`` turns
what was raised into a message and an exit code. At start-up only click is imported, so that
``airseed --help`` and shell completion answer at once.
"""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command line and exit with its code (see :mod:`builder.errors` for the codes)."""
    # What is loaded lives to the end: to look through it for garbage while it loads, and once more
    # when all is over, takes a sixth of a short run.
    gc.set_threshold(20_000)
    from builder.cli.root import run

    code = run(sys.argv[1:] if arguments is None else list(arguments))
    gc.freeze()
    sys.exit(code)

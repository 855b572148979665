"""Options in, words out: one file per verb (owns click and rich).

``builder.cli.VERB`` holds ``command``; ``root`` finds it, ``voice`` speaks, ``failure`` turns what
was raised into words and an exit code. At start-up only click is imported, so that
``airseed --help`` and shell completion answer at once.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command line and exit with its code (see :mod:`builder.errors` for the codes)."""
    from builder.cli.root import run

    sys.exit(run(sys.argv[1:] if arguments is None else list(arguments)))

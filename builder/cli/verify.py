"""``airseed verify``: prove that a bundle is whole, without any network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from builder.cli.amounts import size
from builder.cli.verb import as_json, existing, verb

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from builder.cli.voice import Voice
    from builder.errors import Fault


@verb(
    "verify",
    examples="""
    airseed verify bundle.tar
    airseed verify /srv/unpacked --json
    """,
)
@click.argument("bundle", type=existing(folder=True), default="bundle.tar", metavar="[BUNDLE]")
@as_json
@click.pass_obj
def command(voice: Voice, bundle: Path, *, as_json: bool) -> int:
    """Prove that a bundle is whole, offline.

    Checks every digest, signature and reference of BUNDLE, a tar (default: bundle.tar) or the
    folder that it was unpacked to. All faults are listed at once; with any, the exit code is 1.
    """
    from builder.errors import VerificationError
    from builder.pipeline import verify

    try:
        result = verify.verify(bundle, reporter=voice)
    except VerificationError as error:
        if not as_json:
            raise
        # no bundle at all; a script wants to read that, too
        voice.json(_value(bundle, 0, error.faults or (error.fault,)))
        return error.exit_code
    if as_json:
        voice.json(_value(bundle, result.size, result.faults))
        return 1 if result.faults else 0
    if result.faults:
        count = len(result.faults)
        raise VerificationError(
            "1 fault" if count == 1 else f"{count} faults",
            where=str(bundle),
            hint="copy it again; where it was made, delete it and run airseed bundle again",
            faults=result.faults,
        )
    voice.say(f"{bundle} is whole: {size(result.size)} checked")
    return 0


def _value(bundle: Path, checked: int, faults: Sequence[Fault]) -> dict[str, Any]:
    return {
        "bundle": str(bundle),
        "whole": not faults,
        "size": checked,
        "faults": [
            {
                "where": fault.where,
                "what": fault.what,
                "expected": fault.expected,
                "hint": fault.hint,
            }
            for fault in faults
        ],
    }

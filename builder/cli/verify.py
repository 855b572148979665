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
    airseed verify bundle.tar --require-signature --key site.asc
    """,
)
@click.argument("bundle", type=existing(folder=True), default="bundle.tar", metavar="[BUNDLE]")
@click.option(
    "--require-signature", is_flag=True, help="Fail unless one of the keys given signed BUNDLE."
)
@click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="FILE|FINGERPRINT",
    help="An OpenPGP key that may have signed BUNDLE: a file, or the whole fingerprint of one that "
    "BUNDLE brings in keys/. May be repeated; implies --require-signature.",
)
@click.option(
    "--signature",
    type=existing(),
    metavar="FILE",
    help="Where the signature is (default: BUNDLE.asc).",
)
@as_json
@click.pass_obj
def command(
    voice: Voice,
    bundle: Path,
    keys: tuple[str, ...],
    signature: Path | None,
    *,
    require_signature: bool,
    as_json: bool,
) -> int:
    """Prove that a bundle is whole, offline.

    Checks every digest, signature and reference of BUNDLE, a tar (default: bundle.tar) or the
    folder that it was unpacked to. All faults are listed at once; with any, the exit code is 1.
    A signature counts for nothing unless you say whose it must be.
    """
    from builder.errors import UsageError, VerificationError
    from builder.pipeline import verify
    from builder.pipeline.signature import pins

    if not keys and (require_signature or signature):
        raise UsageError(
            "whose signature is it to be?",
            where="--require-signature" if require_signature else "--signature",
            hint="add --key FILE, with the signer's public key that you got another way",
        )
    wanted = pins(keys) if keys else None
    try:
        result = verify.verify(bundle, reporter=voice, pins=wanted, signature=signature)
    except VerificationError as error:
        if not as_json:
            raise
        # no bundle at all; a script wants to read that, too
        voice.json(_value(bundle, 0, error.faults or (error.fault,), None))
        return error.exit_code
    if as_json:
        voice.json(_value(bundle, result.size, result.faults, result.signed_by))
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
    if result.signed_by:
        voice.say(f"it is signed by {result.signed_by}")
    return 0


def _value(
    bundle: Path, checked: int, faults: Sequence[Fault], signed_by: str | None
) -> dict[str, Any]:
    return {
        "bundle": str(bundle),
        "whole": not faults,
        "size": checked,
        "signedBy": signed_by,
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

"""``airseed verify``: prove that a bundle is whole, without any network."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from builder.cli import complete
from builder.cli.amounts import quantity, size
from builder.cli.verb import as_json, existing, existing_bundle, verb

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from builder.cli.console import Console
    from builder.errors import Fault
    from builder.model.lock import Lock
    from builder.pipeline.verify import Verdict

UNPROVED = 4
"""The exit code for a delta of which nothing shows that the other side has the rest."""
_AGAIN = "copy it again; where it was made, delete it and run airseed bundle again"


@verb(
    "verify",
    examples="""
    airseed verify bundle.tar
    airseed verify bundle.tar.sha256
    airseed verify /srv/unpacked --json
    airseed verify bundle.tar --require-signature --key signing-key.pub.asc
    """,
)
@click.argument("bundle", type=existing_bundle(), default="bundle.tar", metavar="[BUNDLE]")
@click.option(
    "--have",
    "haves",
    type=existing(),
    multiple=True,
    metavar="FILE",
    help="An inventory that must have what a delta leaves out; may be repeated.",
)
@click.option(
    "--base",
    "bases",
    type=existing_bundle(),
    multiple=True,
    metavar="BUNDLE",
    help="An earlier bundle that must have what a delta leaves out; may be repeated.",
)
@click.option(
    "--require-signature", is_flag=True, help="Fail unless one of the keys given signed BUNDLE."
)
@click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="FILE|FINGERPRINT",
    shell_complete=complete.offering(complete.signing_keys, files=True),
    help="An OpenPGP key that may have signed BUNDLE: a file, or the whole fingerprint of one in "
    "the keys/ of BUNDLE. May be repeated; implies --require-signature.",
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
    console: Console,
    bundle: Path,
    *,
    haves: tuple[Path, ...],
    bases: tuple[Path, ...],
    keys: tuple[str, ...],
    signature: Path | None,
    require_signature: bool,
    as_json: bool,
) -> int:
    """Prove that a bundle is whole, offline.

    Checks every digest, signature and reference of BUNDLE: a tar (default: bundle.tar), its parts
    (by their checksums, bundle.tar.sha256), or the folder that it was unpacked to. All faults are
    listed at once; with any, the exit code is 1. A delta is whole together with what it says the
    other side has: --have and --base prove that it is there, without them the exit code is 4.
    Unpacked over the earlier bundle, it is the whole one, and layers, packages and files/ of the
    earlier one are no fault unless a signature is required. A signature is only checked against
    keys that you give.
    """
    from builder.errors import UsageError, VerificationError
    from builder.pipeline import verify
    from builder.pipeline.signature import pins

    if not keys and (require_signature or signature):
        raise UsageError(
            f"{'--require-signature' if require_signature else '--signature'} needs --key",
            hint="give the signer's public key, which you got another way than the bundle: that of"
            " a key that airseed secrets made is signing-key.pub.asc",
        )
    pinned = pins(keys) if keys else None
    try:
        result = verify.verify(
            bundle, reporter=console, haves=haves, bases=bases, pins=pinned, signature=signature
        )
    except VerificationError as error:
        if not as_json:
            raise
        # no bundle at all; a script wants to read that, too
        console.json(_value(bundle, error.faults or (error.fault,)))
        return error.exit_code
    elsewhere = (*haves, *bases)
    unproved = UNPROVED if result.elsewhere and not elsewhere else 0
    if as_json:
        console.json(_value(bundle, result.faults, result))
        return 1 if result.faults else unproved
    if result.faults:
        raise VerificationError(
            quantity(len(result.faults), "faults"),
            where=_name(result),
            hint=_AGAIN if result.damaged else None,
            faults=result.faults,
        )
    _report(result, elsewhere, console)
    return unproved


def _report(result: Verdict, elsewhere: Sequence[Path], console: Console) -> None:
    if result.lock is not None:
        console.info(_images(result.lock))
    checked = f"{size(result.size)} checked"
    if result.elsewhere:
        missing = size(sum(content.size for content in result.elsewhere))
        proof = (
            f", all of them in {' or '.join(map(str, elsewhere))}"
            if elsewhere
            else "; nothing shows that the other side has them: --have INVENTORY or --base BUNDLE"
        )
        console.info(f"what {_name(result)} has is right: {checked}")
        console.info(
            f"it is a delta: {quantity(len(result.elsewhere), 'artifacts')} of {missing} left out"
            f"{proof}"
        )
    else:
        console.info(f"{_name(result)} is whole: {checked}")
    if result.unread:
        count = quantity(len(result.unread), "files")
        console.info(
            f"beside it: {count} that its lock does not name, as an earlier bundle leaves them;"
            " they were not checked"
        )
    if result.signed_by:
        console.info(f"it is signed by {result.signed_by}")


def _name(result: Verdict) -> str:
    """Name what was checked; parts by the tar that they make."""
    return f"{result.bundle} in {result.parts} parts" if result.parts else str(result.bundle)


def _images(lock: Lock) -> str:
    """Count images by whether their signatures were checked."""
    signed = [image for image in lock.images if image.signed_by]
    unchecked = [image for image in lock.images if image.signatures and not image.signed_by]
    bare = len(lock.images) - len(signed) - len(unchecked)
    counts = [
        *([f"{len(signed)} signed by {', '.join(sorted({i.signed_by or '' for i in signed}))}"]
          if signed else []),
        *([f"{len(unchecked)} with signatures that nobody is named to check"] if unchecked else []),
        *([f"{bare} without a signature"] if bare else []),
    ]  # fmt: skip
    return f"images: {'; '.join(counts) or 'none'}"


def _value(bundle: Path, faults: Sequence[Fault], verdict: Verdict | None = None) -> dict[str, Any]:
    return {
        "bundle": str(bundle),
        "whole": not faults and not (verdict and verdict.elsewhere),
        "right": not faults,
        "size": verdict.size if verdict else 0,
        "signedBy": verdict.signed_by if verdict else None,
        "elsewhere": [
            {"path": content.path, "digest": str(content.digest), "size": content.size}
            for content in (verdict.elsewhere if verdict else ())
        ],
        "unread": list(verdict.unread) if verdict else [],
        "faults": [asdict(fault) for fault in faults],
    }

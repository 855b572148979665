"""How a transfer that failed is told: every artifact with every source, in one error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.errors import AirseedError, Fault, UnavailableError, VerificationError

if TYPE_CHECKING:
    from builder.bundle.download import Download


def unavailable(download: Download) -> UnavailableError:
    """Tell what each source of an artifact did wrong."""
    return UnavailableError(
        "no source gave the right bytes" if download.faults else "there is no source for it",
        where=download.job.extent.name,
        faults=[
            Fault(
                where=f"{download.job.extent.name} from {fault.where}",
                what=fault.what,
                expected=fault.expected,
                hint=fault.hint,
            )
            for fault in download.faults
        ],
    )


def summary(failures: list[AirseedError]) -> AirseedError:
    """Make one error of all failures."""
    faults = sorted(fault for error in failures for fault in error.faults or (error.fault,))
    unsigned = all(isinstance(error, VerificationError) for error in failures)
    kind = VerificationError if unsigned else UnavailableError
    noun = "artifact" if len(failures) == 1 else "artifacts"
    return kind(
        f"{len(failures)} {noun} {'failed the check' if unsigned else 'could not be fetched'}",
        hint="what was fetched is kept; the same command goes on from there",
        faults=faults,
    )

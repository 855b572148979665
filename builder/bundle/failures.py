"""How a transfer that failed is told: every artifact with every source, in one error.

Where one host failed in one way for many artifacts, as without a network, it is told once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from builder.errors import AirseedError, Fault, UnavailableError, VerificationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from builder.bundle.download import Download

_FEW = 3
"""Artifacts that one host may fail for, and each be told by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    artifact: str
    host: str
    """Empty for the local disk."""
    fault: Fault
    """With the source's name as place."""
    way: Literal["from", "to"] = "from"
    """Whether a source refused, or the place."""

    @property
    def alone(self) -> Fault:
        return replace(self.fault, where=f"{self.artifact} {self.way} {self.fault.where}")


class RefusedError(UnavailableError):
    """Every source of one artifact failed, each by its host, or its place did."""

    def __init__(self, what: str, *, where: str, refusals: Iterable[Refusal]) -> None:
        self.refusals = tuple(refusals)
        super().__init__(what, where=where, faults=[refusal.alone for refusal in self.refusals])


def unavailable(download: Download) -> RefusedError:
    name, sources = download.job.wanted.name, download.job.sources
    faults = download.attempts.faults
    return RefusedError(
        "no source sent the right bytes" if faults else "there is no source for it",
        where=name,
        refusals=[
            Refusal(artifact=name, host=source.host, fault=fault)
            # a source fails once, then the next one is asked
            for source, fault in zip(sources, faults, strict=False)
        ],
    )


def displaced(artifact: str, host: str, fault: Fault) -> RefusedError:
    """Say that the place of an artifact has refused it for good."""
    fault = replace(fault, where=fault.where or host)
    refusal = Refusal(artifact=artifact, host=host, fault=fault, way="to")
    return RefusedError(fault.what, where=refusal.alone.where, refusals=[refusal])


def summary(failures: list[AirseedError]) -> AirseedError:
    refusals = [refusal for error in failures for refusal in getattr(error, "refusals", ())]
    faults = [
        fault
        for error in failures
        if not getattr(error, "refusals", ())
        for fault in error.faults or (error.fault,)
    ]
    faults = sorted([*faults, *_grouped(refusals)])
    unsigned = all(isinstance(error, VerificationError) for error in failures)
    kind = VerificationError if unsigned else UnavailableError
    noun = "artifact" if len(failures) == 1 else "artifacts"
    sending = any(refusal.way == "to" for refusal in refusals)
    stopped = "could not be sent" if sending else "could not be fetched"
    failed = "failed the check" if unsigned else stopped
    return kind(
        f"{len(failures)} {noun} {failed}",
        hint=f"what was {'sent' if sending else 'fetched'} is kept;"
        " run the same command again to continue",
        faults=faults,
    )


def _grouped(refusals: Iterable[Refusal]) -> Iterator[Fault]:
    """Tell once what one host did to many artifacts."""
    groups: dict[tuple[str, Fault], list[Refusal]] = {}
    for refusal in refusals:
        alike = replace(refusal.fault, where="", hint=None)
        groups.setdefault((refusal.host, alike), []).append(refusal)
    for (host, fault), group in groups.items():
        if not host or len(group) <= _FEW:
            yield from (refusal.alone for refusal in group)
            continue
        names = list(dict.fromkeys(refusal.artifact for refusal in group))
        yield replace(
            fault,
            where=host,
            hint=next((one.fault.hint for one in group if one.fault.hint), None),
            what=f"{fault.what}, for {len(names)} artifacts: {', '.join(names[:_FEW])}, ...",
        )

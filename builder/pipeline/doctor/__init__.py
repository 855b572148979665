"""``doctor``: check every source, and registries how many pulls are left.

Nothing is downloaded but small documents: repomd.xml, public keys, and the heads of the rest. Each
source is asked once, without a second try, since how it stands now is what is asked for.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from builder.backoff import Backoff
from builder.errors import Fault
from builder.formats import catalog as catalog_format
from builder.pipeline import paths
from builder.pipeline.doctor import asking, last_seen, sources
from builder.pipeline.doctor.asking import ORDER, WELL, Answer, PullsLeft, State
from builder.pipeline.lock_document import open_lock
from builder.pipeline.workspace import Workspace
from builder.sources.access import Access

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from builder.model.catalog import Catalog
    from builder.pipeline.doctor.sources import CheckedSource, Kind
    from builder.report import Reporter

SLOW = 5.0
"""Seconds after which an answer is slow."""
TIMEOUT = 15.0
"""Seconds of silence after which a source counts as dead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    kind: Kind
    name: str
    address: str
    state: State
    """The worst of its answers."""
    asked: int
    failed: int
    seconds: float
    """Of the slowest answer."""
    what: str = ""
    """What went wrong, of the worst answer."""
    last_seen: str | None = None
    """The day when it was well, as this machine saw it; None where it never did."""
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    findings: tuple[Finding, ...]
    lost: tuple[Fault, ...]
    """What can be had nowhere, with what went wrong at the last of its sources."""
    limits: tuple[PullsLeft, ...]
    offline: Fault | None
    """What this machine lacks, where that is why no source answered at all."""
    pulls: dict[str, int]
    """By registry: how many images will be asked for there first; for a whole catalog nothing."""

    @property
    def well(self) -> bool:
        return not self.lost and all(finding.state in WELL for finding in self.findings)


def check(
    document: Path | None = None,
    *,
    reporter: Reporter,
    catalogs: Sequence[Path] = (),
    ca_bundle: Path | None = None,
    timeout: float | None = None,
) -> Health:
    """Ask the sources of a cluster.yaml, a lock or a bundle, or of the whole catalog.

    ``timeout`` are the seconds of silence after which a source is dead: AIRSEED_TIMEOUT, or 15.
    Raise DocumentError, VerificationError or StorageError for documents that are wrong; whatever
    servers do is a finding.
    """
    workspace = None
    if document is not None and paths.is_cluster(document):
        workspace = Workspace(document, catalogs=catalogs)
    catalog = workspace.catalog if workspace else catalog_format.load(catalogs)
    named = _named(document, workspace, catalog, reporter)
    questions = [question for source in named for question in source.questions]
    hosts = {question.reference.host for question in questions if question.reference is not None}
    counting = [
        entry.pulls
        for entry in catalog.registries.values()
        if entry.pulls is not None and entry.pulls.host in hosts
    ]
    if timeout is None and not os.environ.get("AIRSEED_TIMEOUT"):
        timeout = TIMEOUT
    with Access.open(ca_bundle=ca_bundle, backoff=Backoff(attempts=1), timeout=timeout) as access:
        with reporter.progress("asking", len(questions), unit="questions") as progress:
            answers = asking.ask(
                questions,
                lambda question: asking.attempt(question, access),
                progress,
                slow=SLOW,
                cancel=access.client.cancel,
            )
        limits = tuple(asking.limit_of(pulls, access) for pulls in counting)
    spent = {limit.registry for limit in limits if limit.left == 0}
    given = (_limited(answer, spent) for answer in answers)
    answered = [(source, [next(given) for _ in source.questions]) for source in named]
    found = [finding_of(source, its_answers) for source, its_answers in answered]
    days = last_seen.note(key_of(finding) for finding in found if finding.state in WELL)
    return Health(
        findings=tuple(replace(finding, last_seen=days.get(key_of(finding))) for finding in found),
        lost=tuple(_lost(answered)),
        offline=offline(answers),
        limits=limits,
        pulls=_pulls(named) if document is not None else {},
    )


def _named(
    document: Path | None, workspace: Workspace | None, catalog: Catalog, reporter: Reporter
) -> tuple[CheckedSource, ...]:
    if document is None:
        return sources.of_catalog(catalog)
    if workspace is not None:
        workspace.warn(reporter)
        return sources.of_demand(workspace.demand, catalog, workspace.cluster.platforms[:1])
    with open_lock(document) as opened:
        return sources.of_lock(opened.lock)


def key_of(finding: Finding) -> str:
    return f"{finding.kind} {finding.name} {finding.address}"


def _limited(answer: Answer, spent: set[str]) -> Answer:
    """A registry whose pulls are spent will refuse, though it answers."""
    reference = answer.question.reference
    if reference is None or reference.host not in spent or answer.state not in WELL:
        return answer
    return replace(answer, state="limited", what="no pulls are left")


def finding_of(source: CheckedSource, answers: Sequence[Answer]) -> Finding:
    # what is worst and took longest says most; a question that was not asked any more says least
    worst = max(answers, key=lambda answer: (ORDER.index(answer.state), answer.seconds))
    failed = [answer for answer in answers if answer.state not in WELL]
    return Finding(
        kind=source.kind,
        name=source.name,
        address=source.address,
        state=worst.state,
        asked=len(answers),
        failed=len(failed),
        seconds=max(answer.seconds for answer in answers),
        what=worst.what,
        hint=worst.hint,
    )


def _lost(answered: Iterable[tuple[CheckedSource, Sequence[Answer]]]) -> Iterator[Fault]:
    by_artifact: dict[tuple[str, str, str], list[Answer]] = {}
    for source, answers in answered:
        for answer in () if source.optional else answers:
            key = (source.kind, source.name, answer.question.artifact)
            by_artifact.setdefault(key, []).append(answer)
    for (_, _, artifact), its_answers in by_artifact.items():
        if all(answer.state not in WELL for answer in its_answers):
            best = min(its_answers, key=lambda answer: ORDER.index(answer.state))
            many = len(its_answers) > 1
            yield Fault(
                where=artifact,
                what=f"none of its {len(its_answers)} sources has it" if many else best.what,
                hint=None if many else best.hint,
            )


def offline(answers: Sequence[Answer]) -> Fault | None:
    lacks = asking.lacking(answers)
    if not lacks:
        return None
    worst = next(answer for answer in answers if answer.lacks)
    what = {
        "DNS": "this machine has no DNS: not one name could be resolved",
        "route": "this machine has no route to the sources: not one of them could be reached",
        "proxy": "the proxy cannot be reached, so nothing can be had through it",
    }
    hint = {
        "DNS": "check /etc/resolv.conf; a proxy (https_proxy) looks names up itself",
        "route": "check `ip route` and the firewall, and whether a proxy (https_proxy) is needed",
    }
    return Fault(where="", what=f"{what[lacks]} ({worst.what})", hint=hint.get(lacks, worst.hint))


def _pulls(named: Iterable[CheckedSource]) -> dict[str, int]:
    """Count the images by the registry that will be asked first."""
    first: dict[str, str] = {}
    for source in named:
        for question in source.questions:
            if question.reference is not None:
                first.setdefault(question.artifact, question.reference.host)
    counted: dict[str, int] = {}
    for host in first.values():
        counted[host] = counted.get(host, 0) + 1
    return counted

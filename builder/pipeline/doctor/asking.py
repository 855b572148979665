"""Doctor, the asking: one request for each question, and what its answer means."""

from __future__ import annotations

import ipaddress
import re
import time
from collections import Counter, deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from builder import threads
from builder.errors import AirseedError, FetchError, UsageError, VerificationError
from builder.rpm.keys import load_keys
from builder.rpm.repodata import REPOMD_LIMIT, parse_repomd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from builder.http import Reply
    from builder.model.reference import Reference
    from builder.pipeline.doctor.sources import Question
    from builder.report import Progress
    from builder.sources.access import Access

State = Literal["healthy", "slow", "missing", "refuses", "limited", "wrong", "fails", "dead"]
"""``missing``: the server answers and has it not; ``refuses``: it wants a login, or another one;
``limited``: too many requests; ``wrong``: it sends something else; ``fails``: it says that it is
broken; ``dead``: no answer at all."""
ORDER: tuple[State, ...] = (
    "healthy", "slow", "missing", "refuses", "limited", "wrong", "fails", "dead",
)  # fmt: skip
"""From well to worse."""
WELL = frozenset[State]({"healthy", "slow"})
_ATONCE = 16
_PATIENCE = 2
_ENOUGH = 24
"""Answers in a row that no server gave."""
ASKED_NO_MORE = "its host gave no answer before"
_KEY_LIMIT = 1 << 20
_NO_HEAD = {400, 403, 404, 405, 501}
"""What servers say to HEAD that don't know it; a GET says whether it is there."""
_BY_STATUS: dict[int, State] = {
    401: "refuses",
    403: "refuses",
    404: "missing",
    407: "refuses",
    410: "missing",
    429: "limited",
}
_SERVER_ERROR = 500
_RATE = re.compile(r"(\d{1,9})(?:;w=(\d{1,9}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    question: Question
    state: State
    seconds: float
    what: str = ""
    hint: str | None = None
    lacks: str = ""
    """What of this machine's way out may be missing, where no server was reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PullsLeft:
    registry: str
    left: int | None
    """None where it does not say, as for those who have no limit."""
    pulls: int | None = None
    """Of so many."""
    seconds: int | None = None
    """In so many seconds."""
    account: bool | None = None
    """Whether an account is counted, or this machine's address; None where it does not say."""
    what: str = ""
    """What went wrong instead."""


def ask(
    questions: Iterable[Question],
    attempt: Callable[[Question], object],
    progress: Progress,
    *,
    slow: float,
    cancel: Callable[[], object],
) -> tuple[Answer, ...]:
    """Ask every question, some at once, once each; whoever takes ``slow`` seconds is slow.

    ``attempt`` raises AirseedError unless all is well; ``cancel`` ends what is under way.

    A host that gave no answer twice is asked no more: the rest would only wait. Nor is any other,
    where so many in a row could not be reached that it is this machine's fault.
    """
    dead: Counter[str] = Counter()
    given: deque[Answer] = deque(maxlen=_ENOUGH)

    def answer_to(question: Question) -> Answer:
        host = _host(question)
        last = list(given)
        if dead[host] >= _PATIENCE:
            answer = Answer(question=question, state="dead", seconds=0.0, what=ASKED_NO_MORE)
        elif len(last) == _ENOUGH and (why := lacking(last)):
            answer = replace(last[-1], question=question, seconds=0.0, lacks=why)
        else:
            answer = _answer(question, attempt, slow)
            dead[host] += answer.state == "dead"
            given.append(answer)
        progress.advance(1)
        return answer

    return tuple(threads.each(questions, answer_to, most=_ATONCE, cancel=cancel))


def lacking(answers: Iterable[Answer]) -> str:
    """Return what this machine lacks, by answers that all say it of more than one host."""
    reached = [answer for answer in answers if answer.what != ASKED_NO_MORE]
    lacks = {answer.lacks for answer in reached}
    hosts = {_host(answer.question) for answer in reached}
    return lacks.pop() if len(lacks) == 1 and len(hosts) > 1 else ""


def _host(question: Question) -> str:
    if question.reference is not None:
        return question.reference.host
    return urlsplit(question.url).netloc


def _answer(question: Question, attempt: Callable[[Question], object], slow: float) -> Answer:
    began = time.monotonic()
    try:
        attempt(question)
    except UsageError:
        raise  # a proxy that cannot be used is no source's fault
    except AirseedError as error:
        return Answer(
            question=question,
            state=_state(error),
            seconds=time.monotonic() - began,
            what=str(error.fault.what),
            hint=error.hint,
            lacks=error.lacks if isinstance(error, FetchError) else "",
        )
    seconds = time.monotonic() - began
    return Answer(
        question=question, state="slow" if seconds >= slow else "healthy", seconds=seconds
    )


def _state(error: AirseedError) -> State:
    status = error.status if isinstance(error, FetchError) else None
    if status is not None:
        return _BY_STATUS.get(status, "fails" if status >= _SERVER_ERROR else "wrong")
    if isinstance(error, FetchError) and error.temporary:
        return "dead"
    return "wrong"


def attempt(question: Question, access: Access) -> None:
    """Ask once; raise AirseedError unless the artifact is there."""
    if question.reference is not None:
        reference = question.reference
        named = str(reference.digest) if reference.digest else reference.tag or "latest"
        access.registry.look(reference.repository, named)
    elif question.repodata:
        parse_repomd(_document(question, access, REPOMD_LIMIT))
    elif question.fingerprint:
        content = _document(question, access, _KEY_LIMIT)
        fingerprints = [key.fingerprint for key in load_keys(content)]
        if question.fingerprint not in fingerprints:
            raise VerificationError(
                f"this is the key {' and '.join(fingerprints)}", expected=question.fingerprint
            )
    else:
        _file(question, access)


def _document(question: Question, access: Access, limit: int) -> bytes:
    reply = access.client.get(question.url, limit=limit)
    _refuse_page(reply)
    return reply.content


def _refuse_page(reply: Reply) -> None:
    """Raise VerificationError for what a captive portal or a parked domain sends."""
    kind = reply.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind == "text/html":
        raise VerificationError("the server sent an HTML page", hint="open the URL in a browser")


def _file(question: Question, access: Access) -> None:
    """Look at a file from outside: whether it is there, and of the right size."""
    try:
        reply = access.client.head(question.url)
    except FetchError as error:
        if error.status not in _NO_HEAD:
            raise
        access.client.open(question.url, size=question.size).close()
        return
    length = _length(reply)
    if question.size is not None and length is not None and length != question.size:
        raise VerificationError(
            f"the server has {length:,} bytes of it", expected=f"{question.size:,}"
        )
    _refuse_page(reply)


def _length(reply: Reply) -> int | None:
    text = reply.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None  # noqa: PLR2004 -- digits of what a file can have


def limit_of(pulls: Reference, access: Access) -> PullsLeft:
    try:
        reply = access.registry.look(pulls.repository, pulls.tag or "latest")
    except AirseedError as error:
        if isinstance(error, FetchError) and _state(error) == "limited":
            return PullsLeft(registry=pulls.host, left=0, what=error.fault.what)
        return PullsLeft(registry=pulls.host, left=None, what=error.fault.what)
    left, seconds = _rate(reply.headers, "RateLimit-Remaining")
    total, window = _rate(reply.headers, "RateLimit-Limit")
    return PullsLeft(
        registry=pulls.host,
        left=left,
        pulls=total,
        seconds=seconds or window,
        account=_account(reply.headers.get("Docker-RateLimit-Source")),
    )


def _rate(headers: Mapping[str, str], name: str) -> tuple[int | None, int | None]:
    """Read ``98;w=21600``: a number, and the seconds that it is for."""
    match = _RATE.fullmatch(headers.get(name, "").strip().replace(" ", ""))
    if match is None:
        return None, None
    return int(match[1]), int(match[2]) if match[2] else None


def _account(source: str | None) -> bool | None:
    """Return whether an account is counted, not an address."""
    if not source:
        return None
    try:
        ipaddress.ip_address(source.strip())
    except ValueError:
        return True
    return False

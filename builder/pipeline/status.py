"""``status``: bring the results or consoles of many nodes into one view, or ask who has them."""

from __future__ import annotations

import itertools
import os
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from builder.errors import DocumentError, FetchError, UsageError
from builder.formats import boots as boots_format
from builder.formats import result as result_format
from builder.formats.text import read_content
from builder.model.result import Result
from builder.redact import redact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from builder.errors import Fault
    from builder.model.boots import Boots

_PAGE, _JSON = "/boots", ".json"
_DEADLINE = 30.0
"""Seconds: somebody waits for it, and a server that drips is as good as none."""


def read(files: Sequence[Path]) -> tuple[list[Result], list[Fault]]:
    """Return a result a file, what wants attention first, and why some are unknown.

    Files may be of any mix; one that is neither result nor console hides no other. A folder stands
    for the results in it, NODE.json; raise UsageError where it has none.

    A console that does not say its node's name is called after its file, or after its folder where
    the file is a ``result.json`` or ``console.log`` like all the others.
    """
    results: list[Result] = []
    faults: list[Fault] = []
    for path in itertools.chain.from_iterable(map(_inside, files)):
        try:
            content = read_content(path, largest=result_format.LARGEST)
            results.append(result_format.read(content, str(path), node=_node(path)))
        except DocumentError as error:
            faults += [fault.inside(str(path)) for fault in error.faults]
            message = str(error.faults[0]) if len(error.faults) == 1 else error.fault.what
            results.append(Result(node=_node(path), state="unknown", message=message))
    results.sort(key=lambda result: result.urgency)
    return results, faults


def ask(url: str, *, ca_bundle: Path | None = None) -> Boots:
    """Ask an ``airseed serve --boots`` how all nodes stand.

    ``url`` is the server's, or its page's. Raise UsageError for what is not a URL, FetchError, and
    DocumentError for an answer that is none.
    """
    from builder.http import Client  # noqa: PLC0415 -- files need no network
    from builder.oci.auth import Credentials  # noqa: PLC0415 -- likewise

    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageError(
            "is not a URL", where=url, expected="that of airseed serve: http://10.0.0.5:5000"
        )
    path = parts.path.rstrip("/")
    where = urlunsplit(
        parts._replace(path=f"{path.removesuffix(_JSON).removesuffix(_PAGE)}{_PAGE}{_JSON}")
    )
    login = Credentials.load(os.environ).find(parts.netloc)
    with Client(ca_bundle=ca_bundle, deadline=_DEADLINE, patience=_DEADLINE / 3) as client:
        headers = {"Authorization": login.basic} if login else {}
        try:
            reply = client.get(where, headers=headers, limit=boots_format.LARGEST)
        except FetchError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            hint = "airseed serve shows first boots with --boots alone"
            raise FetchError(error.fault.what, where=error.fault.where, hint=hint) from error
    return boots_format.read(reply.content, redact(where))


def _inside(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(path.glob("*.json"))
    if not found:
        raise UsageError("there is no result in this folder", where=str(path), expected="NODE.json")
    return found


def _node(path: Path) -> str:
    generic = path.stem in {"result", "console", "journal", "serial"}
    return (Path(os.path.realpath(path)).parent.name if generic else path.stem) or path.name

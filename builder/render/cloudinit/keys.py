"""Whether a node's cloud-init understands its user-data: every key, by the catalog's table.

cloud-init passes over what it doesn't know without a word. The templates' own layout makes the
keys easy to find: a key of the document begins its line, a key of an entry stands behind ``- `` or
two further in, and whatever else there is stands deeper or in quotes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from builder.errors import AirseedError, Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.model.catalog.systems import CloudInit

HEADER = "#cloud-config\n"
_KEY = re.compile(r"^(?:(?P<top>[^\s#:]+):|  (?:- |  )(?P<entry>[^\s#:\"\[]+):)", re.MULTILINE)
_ENCODING = re.compile(r"^    encoding: \"?([^\"\n]*)", re.MULTILINE)


def check(text: str, known: CloudInit, *, where: str) -> None:
    """Raise AirseedError with every key of user-data that ``known`` does not act on."""
    faults = list(dict.fromkeys(_faults(text, known)))
    if faults:
        raise AirseedError(
            f"{known} does not understand all of it",
            where=where,
            hint="templates may only say what the oldest cloud-init knows",
            faults=faults,
        )


def keys_of(text: str) -> Iterator[tuple[str, str | None]]:
    """Yield the keys of user-data as (key, None), and those of entries as (key, entry's key)."""
    top = ""
    for match in _KEY.finditer(text):
        if match["top"]:
            top = match["top"]
            yield top, None
        else:
            yield top, match["entry"]


def _faults(text: str, known: CloudInit) -> Iterator[Fault]:
    if not text.startswith(HEADER):
        yield Fault(where="first line", what="this is not a cloud-config", expected=HEADER.strip())
    for top, entry in dict.fromkeys(keys_of(text)):
        if entry is not None:
            if top in known.entries and entry not in known.entries[top]:
                expected = f"one of {', '.join(known.entries[top])}"
                yield Fault(where=f"{top}[].{entry}", what="unknown key", expected=expected)
        elif top not in known.keys:
            yield Fault(where=top, what="unknown key")
        elif known.keys[top] not in known.modules:
            yield Fault(where=top, what=f"the module {known.keys[top]} does not run")
    for encoding in {*_ENCODING.findall(text)} - {*known.encodings}:
        yield Fault(where="write_files[].encoding", what=f"{encoding} is not decoded")

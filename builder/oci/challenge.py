"""WWW-Authenticate, read strictly (RFC 9110, section 11.6.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LONGEST = 8192
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 -- the RFC's word for a word
_GAP = re.compile(r"[ \t,]*")
_SCHEME = re.compile(rf"({_TOKEN})(?=[ ,]|$)")
_QUOTED = r'"((?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[\t -~])*)"'
_PARAMETER = re.compile(rf"({_TOKEN})[ \t]*=[ \t]*(?:({_TOKEN})|{_QUOTED})(?=[ \t,]|$)")
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$))")
_COMMA = re.compile(r"[ \t]*,[ \t,]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """Hold one way in which a server wants to be asked; names in lower case."""

    scheme: str
    parameters: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str:
        return dict(self.parameters).get(name, "")


def parse(text: str) -> tuple[Challenge, ...]:
    """Read all challenges of a header; raise ValueError for what breaks the grammar."""
    if len(text) > _LONGEST:
        raise ValueError("the challenge is too long")
    challenges = []
    position = _skip(_GAP, text, 0)
    while position < len(text):
        match = _SCHEME.match(text, position)
        if not match:
            raise ValueError(f"{text[position : position + 40]!r} does not begin a challenge")
        parameters, position = _parameters(text, match.end())
        challenges.append(Challenge(scheme=match[1].lower(), parameters=tuple(parameters.items())))
    return tuple(challenges)


def _parameters(text: str, position: int) -> tuple[dict[str, str], int]:
    """Read one challenge's parameters; return them and where the next challenge begins."""
    parameters: dict[str, str] = {}
    start = _skip(_GAP, text, position)
    match = _TOKEN68.match(text, start)
    if match and start > position and "," not in text[position:start]:
        # A bare word after the scheme: Negotiate's and its like, of which we speak none.
        return parameters, _skip(_GAP, text, match.end())
    position = start
    while match := _PARAMETER.match(text, position):
        name = match[1].lower()
        if name in parameters:
            raise ValueError(f"the parameter {name[:40]!r} appears twice")
        parameters[name] = match[2] or re.sub(r"\\(.)", r"\1", match[3] or "")
        position = match.end()
        comma = _COMMA.match(text, position)
        if not comma:
            if text[position:].strip():
                raise ValueError(f"a comma is missing before {text[position : position + 40]!r}")
            return parameters, len(text)
        position = comma.end()
    return parameters, position


def _skip(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position

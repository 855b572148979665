"""Pages for people: every value is escaped, and nothing on them comes from outside.

Style and script stand in the page itself, and the policy that goes with it names them by their
hashes, so that a browser runs nothing else, whatever gets into a page.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from builder.assets import text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jinja2 import Environment

_FOLDER = Path(__file__).with_name("pages")
_STYLE, _SCRIPT = "style.css", "page.js"
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def render_page(name: str, values: Mapping[str, Any]) -> str:
    """Render NAME.html; a value that it asks for and does not get is a bug of airseed's."""
    return _environment().get_template(f"{name}.html").render(values)


@cache
def policy() -> str:
    """Return the Content-Security-Policy of all pages."""
    style, script = (_hash(_source(name)) for name in (_STYLE, _SCRIPT))
    return (
        f"default-src 'none'; style-src {style}; script-src {script}; img-src data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def age(seconds: float) -> str:
    """Return ``8 s``, ``3 min``, ``2 h 5 min`` or ``1 d 3 h``; the script counts on like this."""
    whole = max(0, int(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined  # noqa: PLC0415 -- start-up

    environment = Environment(
        loader=FunctionLoader(_source),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(style=_source(_STYLE), script=_source(_SCRIPT))
    environment.filters["age"] = age
    return environment


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _source(name: str) -> str:
    return text(_FOLDER / name)

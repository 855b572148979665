"""HCL: values are written here, and everything is read back before it leaves the house."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from builder.errors import AirseedError

if TYPE_CHECKING:
    from collections.abc import Mapping


def string(text: str) -> str:
    """Quote a text; nothing in it is a template."""
    escaped = json.dumps(text, ensure_ascii=False)
    return escaped.replace("${", "$${").replace("%{", "%%{")


def value(what: Any) -> str:
    if isinstance(what, str):
        return string(what)
    if isinstance(what, (list, tuple)):
        return f"[{', '.join(map(value, what))}]"
    return json.dumps(what)


def variables(values: Mapping[str, Any], comments: str) -> str:
    """Write values as ``packer fmt`` would; they are read back and compared."""
    width = max(map(len, values))
    lines = "".join(f"{name:{width}} = {value(one)}\n" for name, one in values.items())
    text = f"{comments}\n{lines}"
    if parsed(text) != {k: _plain(v) for k, v in values.items()}:
        raise AirseedError(
            "HCL does not say what was meant: a bug", where="airseed.auto.pkrvars.hcl"
        )
    return text


def _plain(what: Any) -> Any:
    return [*map(_plain, what)] if isinstance(what, (list, tuple)) else what


def parsed(text: str) -> dict[str, Any]:
    """Read HCL into plain values."""
    import hcl2  # noqa: PLC0415 -- slow to load

    document: Any = hcl2.loads(text)
    read: dict[str, Any] = _unquoted(document)
    return read


def _unquoted(what: Any) -> Any:
    """Undo how the library shows strings: quoted, as they stand in the file."""
    if isinstance(what, dict):
        return {_text(key): _unquoted(one) for key, one in what.items() if not key.startswith("__")}
    if isinstance(what, list):
        return [*map(_unquoted, what)]
    return _text(what) if isinstance(what, str) else what


def _text(shown: str) -> str:
    if len(shown) < 2 or not (shown[0] == shown[-1] == '"'):  # noqa: PLR2004 -- two quotes
        return shown
    try:
        text: str = json.loads(shown)
    except ValueError:
        return shown
    return text.replace("$${", "${").replace("%%{", "%{")

"""What a machine needs to enter the internal registry: one entry of a docker ``config.json``.

The file that cluster.yaml names may know other registries too; nothing of them leaves it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from builder.errors import DocumentError, Fault

if TYPE_CHECKING:
    from builder.render.plan import Plan


def entry(plan: Plan, name: str) -> str:
    """Return a ``config.json`` with the entry of the cluster's registry alone.

    ``name`` is the path that cluster.yaml has. Raise DocumentError where it has no such entry; no
    message repeats anything from the file.
    """
    registry = plan.cluster.registry
    if registry is None:
        what = "there are credentials, but no registry"
        raise _wrong(name, what, hint="add registry: to cluster.yaml")
    auths = _auths(name, plan.files[name])
    for key, credentials in auths.items():
        if _host(key) == registry.host and isinstance(credentials, dict) and credentials:
            return (
                json.dumps({"auths": {registry.host: credentials}}, indent=2, sort_keys=True) + "\n"
            )
    what = f"there are no credentials for {registry.host}"
    hint = f"docker login {registry.host} without a credential helper writes them"
    raise _wrong(name, what, expected=f"auths with {registry.host}", hint=hint)


def _auths(name: str, content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise _wrong(name, "this is not JSON", expected="a docker config.json") from None
    auths = document.get("auths", {}) if isinstance(document, dict) else None
    if not isinstance(auths, dict):
        raise _wrong(name, "this is not a docker config.json", expected="auths by registry")
    return auths


def _host(key: str) -> str:
    """Docker writes ``HOST`` or, of old, ``https://HOST/v1/``."""
    return key.removeprefix("https://").removeprefix("http://").partition("/")[0]


def _wrong(
    name: str, what: str, *, expected: str | None = None, hint: str | None = None
) -> DocumentError:
    return DocumentError(name, [Fault(where="", what=what, expected=expected, hint=hint)])

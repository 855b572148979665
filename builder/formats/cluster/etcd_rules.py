"""With what values etcd would not start that go by more than one word, or one argument."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from builder import strict_json
from builder.formats.cluster.machine_rules import remark_unlaid
from builder.formats.cluster.network_rules import said
from builder.formats.cluster.owned_fields import etcd_variable
from builder.formats.reading import WRONG
from builder.model.arguments import DURATION, TRUE

if TYPE_CHECKING:
    from collections.abc import Callable

    from builder.formats.cluster.setting import Setting

_KIND = "ClusterConfiguration"
_ETCD = "etcd"
_PLACE = (_ETCD, "local", "extraArgs")
_VARIABLES = (_ETCD, "local", "extraEnvs")
_TIMES = {"heartbeat-interval": 100, "election-timeout": 1000}
"""What etcd takes by itself, in milliseconds."""
_STARTS = "etcd would not start"
_KINDS = "simple, or jwt,sign-method=RS256,pub-key=FILE,priv-key=FILE"
_METHOD = "auth-token.sign-method"
_KEYS = ("pub-key", "priv-key")
_ROTATION = '{"maxsize": 100, "maxage": 0, "maxbackups": 0, "localtime": false, "compress": false}'
_TYPES: dict[str, type] = {
    **dict.fromkeys(("maxsize", "maxage", "maxbackups"), int),
    **dict.fromkeys(("localtime", "compress"), bool),
    "filename": str,
}
"""Of the file that is rotated; names in any case, others are passed by."""
_STREAMS = ("default", "stderr", "stdout")


def _beats(setting: Setting) -> None:
    """Check that etcd hears five heartbeats before it elects."""
    times = []
    for name, usual in _TIMES.items():
        found = _said(setting, name)
        if found and not found[1].isdigit():
            return  # told
        times.append((found[0] if found else "", int(found[1]) if found else usual))
    (beat, often), (election, late) = times
    if setting.path == (election or beat) and 5 * often > late:
        what = f"{_STARTS}: {late} is less than five heartbeats of {often} ms"
        setting.wrong(what, expected="election-timeout of five times heartbeat-interval or more")


def _token(setting: Setting) -> None:
    """Check the kind of tokens, and what signs them."""
    kind, *rest = str(setting.value).split(",")
    options = dict(pair for one in rest if len(pair := one.split("=")) == 2)  # noqa: PLR2004
    if len(options) != len(rest) or kind not in {"", "simple", "jwt"}:
        what = f"{_STARTS} with {str(setting.value)[:80]!r}"
        setting.wrong(what, expected=_KINDS)
    elif kind == "jwt":
        if fault := _misfit(options, setting):
            setting.wrong(f"{_STARTS}: {fault}", expected=_KINDS)
        for name in _KEYS:
            if options.get(name):
                _in_pod(options[name], setting)


def _misfit(options: dict[str, str], setting: Setting) -> str:
    method, life = options.get("sign-method", ""), options.get("ttl", "")
    if not method:
        return "a jwt needs a sign-method"
    known = setting.release.allowed.get(_ETCD, {}).get(_METHOD)
    arguments = setting.release.arguments
    if known and arguments and known.misfits(method, arguments.release_of(_ETCD)):
        return f"{method[:40]!r} signs no token"
    if life and not DURATION.fullmatch(life):
        return f"ttl={life[:40]} is not a duration"
    needed = _KEYS[1:] if method.startswith("HS") else _KEYS
    return "" if any(options.get(key) for key in needed) else f"a jwt needs {' or '.join(needed)}"


def _in_pod(file: str, setting: Setting) -> None:
    """Check that a file is in one of the two folders that kubeadm mounts into the pod of etcd."""
    folders = setting.release.programs.volumes.get(_ETCD, {})
    if not any(file.startswith(f"{folder}/") for folder in folders):
        what = f"{_STARTS}: its pod has no {file[:80]}"
        setting.wrong(what, expected=f"a file in {' or '.join(folders)}")
    elif file not in setting.release.files:
        remark_unlaid(file, setting.path, setting.cluster, setting.reading, role="control-plane")


def _rotation(setting: Setting) -> None:
    """Check how files are rotated; etcd reads it only where they are."""
    enabled = _said(setting, "enable-log-rotation")
    if not enabled or enabled[1].lower() not in TRUE:
        return
    try:
        document: Any = strict_json.load(str(setting.value))
    except strict_json.JsonError as error:
        setting.wrong(f"{_STARTS}: not JSON: {error}", expected=_ROTATION)
        return
    if document is not None and not isinstance(document, dict):
        setting.wrong(f"{_STARTS}: not an object of JSON", expected=_ROTATION)
        return
    for name, value in (document or {}).items():
        wanted = _TYPES.get(name.lower())
        if wanted and value is not None and type(value) is not wanted:
            setting.wrong(f"{_STARTS}: {name[:40]} is of another type", expected=_ROTATION)


def _rotated(setting: Setting) -> None:
    """Check that there is one file that rotates, beside streams or not."""
    outputs = _said(setting, "log-outputs")
    listed = [one.strip() for one in outputs[1].split(",")] if outputs else ["default"]
    files = [one for one in listed if one not in _STREAMS]
    alone = len(listed) == 1 and not files
    if str(setting.value).lower() in TRUE and (alone or len(files) > 1):
        what = f"{_STARTS}: it rotates one file, and log-outputs has {len(files) or 'none'}"
        setting.wrong(what, expected="log-outputs: /var/lib/etcd/etcd.log, for example")


def _outputs(setting: Setting) -> None:
    if len(setting.words) > 1 and "default" in setting.words:
        what = f"{_STARTS}: 'default' is an output alone"
        setting.wrong(what, expected="stderr or stdout, and files")


def _origins(setting: Setting) -> None:
    if not setting.value:
        setting.wrong(f"{_STARTS} with no origin", expected="*, or http://HOST:PORT,...")


def _said(setting: Setting, name: str) -> tuple[str, str] | None:
    """Return what an argument says, or else the variable of that name, after its path."""
    nodes = [(i, node) for i, node in enumerate(setting.cluster.nodes) if node is not WRONG]
    found = said(setting.cluster, nodes, _KIND, _PLACE, name)
    other = said(setting.cluster, nodes, _KIND, _VARIABLES, etcd_variable(name))
    return found or (other if other and other[1] else None)


def _unless_empty(rule: Callable[[Setting], None]) -> Callable[[Setting], None]:
    """Return a rule for a variable, which etcd passes by where it is empty."""
    return lambda setting: rule(setting) if setting.value else None


_RULES: dict[str, Callable[[Setting], None]] = {
    **dict.fromkeys(_TIMES, _beats),
    "auth-token": _token,
    "cors": _origins,
    "enable-log-rotation": _rotated,
    "log-outputs": _outputs,
    "log-rotation-config-json": _rotation,
}
WAYS: dict[tuple[str, ...], Callable[[Setting], None]] = {
    **{(*_PLACE, name): rule for name, rule in _RULES.items()},
    **{
        (*_VARIABLES, etcd_variable(name)): _unless_empty(rule)
        for name, rule in _RULES.items()
        if name not in _TIMES
    },
}
"""Where each stands in a ClusterConfiguration: an argument, or a variable that says the same."""

"""Raw kubeadm documents in cluster.yaml: is every field known, and may it be said here?

kubeadm itself only warns of a field that it does not know and goes on without it, on a machine
that nobody watches. So each field is looked up in the catalog's tables, with the type of its value.
What airseed has to know is refused too (:mod:`~builder.formats.cluster.owned_fields`), and so is a
document where nobody would read it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from builder.errors import did_you_mean
from builder.formats.cluster import kubeadm_rules, listener_rules, pod_rules
from builder.formats.cluster.node_files import (
    EXTRA,
    OTHERS,
    arguments,
    inline,
    lost,
    variables,
)
from builder.formats.cluster.overrides import is_read, overrides
from builder.formats.cluster.owned_fields import LIMITED, OWNED, REFUSED, SKIPPABLE, owner
from builder.formats.cluster.setting import ARGUMENT_PLACES, Setting, argument_of
from builder.formats.reading import WRONG, child, kind
from builder.model.arguments import DURATION, GATES, KUBEADM_GATES, Arguments
from builder.model.cluster import SKIP_PHASES
from builder.model.configuration import FieldType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from builder.errors import Fault
    from builder.formats.cluster.node_files import Read
    from builder.formats.reading import Reading
    from builder.model.catalog.kubernetes import KubernetesRelease
    from builder.model.cluster import Cluster
    from builder.model.configuration import Configuration

_JOIN = "JoinConfiguration"
_KUBELET = "kubelet"
_KUBELET_ARGUMENTS = ("nodeRegistration", "kubeletExtraArgs")
_TEXT = FieldType("text")
_HEAD = ("apiVersion", "kind")
_NUMBER = re.compile(r"[-+]?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,3})?")
_SHOWN = 40
_LONGEST = 200
"""Characters of what is expected, beyond which the nearest name alone is said."""
_ARGUMENT = "name"
_ARGUMENTS = (("extraArgs",), ("kubeletExtraArgs",))
_ETCD_VARIABLES = ("etcd", "local", "extraEnvs")
_VARIABLE = "ETCD_"
"""Before an argument's name: etcd reads variables as well."""
_PROGRAMS = {
    place[-2:]: program for program, places in ARGUMENT_PLACES.items() for _, place in places
}
"""Whose arguments stand where."""
_DOCUMENTS = {"kubelet": "KubeletConfiguration"}
"""Whose arguments have the names of their document's fields."""
_WHO = {"KubeletConfiguration": "kubelet", "KubeProxyConfiguration": "kube-proxy"}
_FEATURE_GATES = "featureGates"
_GATES = {
    "ClusterConfiguration": KUBEADM_GATES,
    "KubeletConfiguration": GATES,
    "KubeProxyConfiguration": GATES,
}
"""The table of a document's gates."""


def check(cluster: Cluster, release: KubernetesRelease, reading: Reading) -> None:
    """Write down what is wrong with the raw documents of a cluster that may have gaps."""
    for override in overrides(cluster):
        for name, document in dict(override.overrides).items():  # a gap is empty
            path = child(override.path, name)
            if is_read(override, name, document, path, reading):
                _Checking(name, release, cluster, reading).document(document, path)
    check_files(cluster, release, reading)
    pod_rules.check(cluster, release, reading)


def check_files(
    cluster: Cluster, release: KubernetesRelease, reading: Reading, read: Read = inline
) -> None:
    """Write down what machines' own files say as ``kubeadm:`` may not, and ports taken twice."""
    nodes = [(index, node) for index, node in enumerate(cluster.nodes) if node is not WRONG]
    for path, name, text in dict.fromkeys(
        one for index, node in nodes for one in variables(cluster, index, node, read)
    ):
        if name in OTHERS:
            reading.wrong(path, f"{name} is kubelet's own unit's", hint=f"say it with {EXTRA}")
        elif name == EXTRA:
            _Checking(_JOIN, release, cluster, reading).line(text, path)
    for path, what in dict.fromkeys(
        one for index, node in nodes for one in lost(cluster, index, node, read)
    ):
        reading.wrong(path, f"kubelet would start without {what}", hint=f"say more with {EXTRA}")
    listener_rules.check(cluster, release, reading, read)


class _Checking:
    def __init__(
        self, name: str, release: KubernetesRelease, cluster: Cluster, reading: Reading
    ) -> None:
        self.name = name
        self.cluster = cluster
        self.release = release
        self.configuration: Configuration = release.configuration
        self.arguments = release.arguments or Arguments(release=release.version)
        self.reading = reading
        self.line_path = ""
        """Where several arguments stand in one line, each of which may be wrong."""

    def document(self, document: Mapping[str, Any], path: str) -> None:
        head = dict(zip(_HEAD, (self.configuration.api(self.name), self.name), strict=True))
        for key, right in head.items():
            if document.get(key, right) != right:
                what = f"{_show(document[key])} is not what {self.release} reads"
                self.reading.wrong(child(path, key), what, expected=right)
        own = {*head, SKIP_PHASES} if self.name in SKIPPABLE else {*head}
        if SKIP_PHASES in own:
            self.phases(document.get(SKIP_PHASES), child(path, SKIP_PHASES))
        rest = {key: value for key, value in document.items() if key not in own}
        self.struct(rest, self.name, path, ())
        self.rules(rest, path, ())

    def line(self, text: str, path: str) -> None:
        """Check kubelet's arguments where they stand in one line."""
        table = self.arguments.tables.get(_KUBELET)
        flags = frozenset(
            name for name, held in (table.holds if table else {}).items() if held == "flag"
        )
        self.line_path = path
        for name, value in arguments(text, flags):
            if value is None:
                what = f"kubelet would not start: {_show(name)} is no argument"
                self.reading.wrong(path, what, expected="--NAME=VALUE")
            else:
                self.named(name, value, _TEXT, path, _KUBELET_ARGUMENTS)

    def phases(self, value: Any, path: str) -> None:
        """Check which phases are left out; releases whose documents lack the field have a flag."""
        if value is None or not self.kind(value, list, "a list", path):
            return
        known = SKIPPABLE[self.name]
        for number, phase in enumerate(value):
            if phase not in known:
                self.reading.wrong(
                    f"{path}[{number}]",
                    f"first boot cannot leave out {_show(phase)}",
                    expected=f"one of {', '.join(known)}",
                    hint=did_you_mean(phase, known) if isinstance(phase, str) else None,
                )

    def struct(self, value: Mapping[str, Any], type_: str, path: str, way: tuple[str, ...]) -> None:
        """Check the fields of a mapping; ``way`` is where it is in the document."""
        fields = self.configuration.fields(self.name, type_) or {}
        for key, inner in value.items():
            inside = child(path, key)
            if self.reading.full:  # a million unknown fields would take minutes to compare
                return
            if key in fields:
                self.value(inner, fields[key], inside, (*way, key))
            else:
                self.unknown(key, type_, inside)

    def unknown(self, key: str, type_: str, path: str) -> None:
        api = self.configuration.api(self.name)
        known = self.configuration.fields(self.name, type_) or {}
        elsewhere = self.configuration.elsewhere(self.name, type_, key)
        self.reading.wrong(
            path,
            "unknown field",
            expected=f"a field of {type_} in {api}, as {self.release} has them",
            hint=f"only {elsewhere} has it" if elsewhere else did_you_mean(key, known),
        )

    def value(self, value: Any, type_: FieldType, path: str, way: tuple[str, ...]) -> None:
        """Check one value against its type, and whether it may be said."""
        owned = OWNED[self.name]
        if way in owned or (value is None and any(field[: len(way)] == way for field in owned)):
            what = "airseed sets this itself" if way in owned else "airseed sets fields in here"
            self.reading.wrong(path, what, hint=owner(self.name, way))
        elif value is None:
            return  # kept as it is: the program's own choice
        elif not self.fits(value, path, way):
            return  # told
        elif type_.wraps[:1] == ("list",):
            self.items(value, type_.item, path, way)
        elif type_.wraps:
            if self.kind(value, dict, "a mapping", path):
                for key, inner in value.items():
                    self.named(key, inner, type_.item, child(path, key), way)
        elif self.configuration.fields(self.name, type_.name) is not None:
            if self.kind(value, dict, "a mapping", path):
                self.struct(value, type_.name, path, way)
        else:
            self.plain(value, type_.name, path)

    def fits(self, value: Any, path: str, way: tuple[str, ...]) -> bool:
        """Check a value that first boot stands on; in a list it stands beside its name."""
        why = REFUSED[self.name].get(way)
        if why is not None:
            what = f"first boot does not know a cluster with it: {why}"
            self.reading.wrong(path, what, hint="leave it out")
            return False
        said = value.get("value") if isinstance(value, dict) else value
        self.rules(said, path, way)
        self.allowed(self.name, ".".join(way), value, path)
        fits, expected, reason = LIMITED[self.name].get(way, (None, "", ""))
        if fits is None or fits(str(said)):
            return True
        what = f"{_show(said)} does not go with first boot: {reason}"
        self.reading.wrong(path, what, expected=expected)
        return False

    def rules(self, value: Any, path: str, way: tuple[str, ...]) -> None:
        setting = Setting(
            value=value,
            path=path,
            cluster=self.cluster,
            release=self.release,
            reading=self.reading,
        )
        kubeadm_rules.check(self.name, way, setting)

    def items(self, value: Any, item: FieldType, path: str, way: tuple[str, ...]) -> None:
        if not self.kind(value, list, "a list", path):
            return
        for number, inner in enumerate(value):
            entry = f"{path}[{number}]"
            # an argument in a list has its name where a mapping has a key
            name = inner.get(_ARGUMENT) if isinstance(inner, dict) else None
            if inner is None:
                self.reading.wrong(entry, "has no value")
            else:
                self.named(name if isinstance(name, str) else "", inner, item, entry, way)

    def named(
        self, name: str, value: Any, type_: FieldType, path: str, way: tuple[str, ...]
    ) -> None:
        """Check a value that has a name; most programs read an argument's _ as -."""
        if way[-1:] in _ARGUMENTS:
            bare = name.lstrip("-").replace("_", "-")
            if name.startswith("-") or {*name} & {*"= "}:
                what = f"{_show(name)} is not the name of an argument: kubeadm puts -- before it"
                self.reading.wrong(path, what, hint=f"write {bare.partition('=')[0].strip()}")
                return
            self.argument(name, bare, value, path, way)
            name = bare
        elif way == _ETCD_VARIABLES and name.startswith(_VARIABLE):
            bare = name.removeprefix(_VARIABLE).lower().replace("_", "-")
            self.argument(bare, bare, value, path, (*way[:-1], *_ARGUMENTS[0]))
        elif way == (_FEATURE_GATES,) and self.name in _GATES and isinstance(value, bool):
            self.told(self.arguments.gate(_GATES[self.name], name, str(value), path))
        self.value(value, type_, path, (*way, name))

    def argument(
        self, written: str, name: str, value: Any, path: str, way: tuple[str, ...]
    ) -> None:
        """Check that the release's program knows an argument as it is written, and its gates."""
        program = _PROGRAMS.get(way[-2:])
        said = value.get("value") if isinstance(value, dict) else value
        known = (*way, name) in OWNED[self.name] or (*way, name) in REFUSED[self.name]
        if program and said is not None and not known:
            wrong = [*self.arguments.misfits(program, written, str(said), path)]
            self.told(wrong)
            if wrong:
                return
            self.allowed(program, name, said, path)
            for field in self.release.allowed.get(_DOCUMENTS.get(program, ""), ()):
                if argument_of(field) == name:
                    self.allowed(_DOCUMENTS[program], field, said, path)

    def allowed(self, whose: str, name: str, said: Any, path: str) -> None:
        """Check what a program ends at that is a value of the right type."""
        allowed = self.release.allowed.get(whose, {}).get(name)
        release = self.arguments.release_of(whose)
        entries = enumerate(said) if isinstance(said, list) else ()
        places = [(f"{path}[{number}]", one) for number, one in entries] or [(path, said)]
        for where, one in places if allowed else ():
            if allowed is None or not isinstance(one, (str, int)):
                continue  # told
            for wrong in allowed.misfits(str(one), release):
                what = f"{_WHO.get(whose, whose)} would not start with {_show(wrong)}"
                expected, near = allowed.expected(release), None
                if len(expected) > _LONGEST:
                    expected, near = "", did_you_mean(wrong, expected.split(" or "))
                self.reading.wrong(where, what, expected=expected or None, hint=near)

    def told(self, faults: Iterable[Fault]) -> None:
        known = {fault.where.partition(" ")[0] for fault in self.reading.faults}
        for fault in faults:
            if fault.where in known and fault.where != self.line_path:
                continue  # a rule between keys has said what is wrong there
            self.reading.wrong(fault.where, fault.what, expected=fault.expected, hint=fault.hint)

    def kind(self, value: Any, wanted: type, expected: str, path: str) -> bool:
        if isinstance(value, wanted):
            return True
        self.reading.wrong(path, f"{kind(value)} is not allowed here", expected=expected)
        return False

    def plain(self, value: Any, type_: str, path: str) -> None:
        fits, expected, hint = _PLAIN[type_]
        if not fits(value):
            advice = hint(value) if isinstance(value, (str, int)) else None
            self.reading.wrong(
                path, f"{_show(value)} is not allowed here", expected=expected, hint=advice
            )


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    # the reader of cluster.yaml keeps a number with a point as text
    return _is_whole(value) or bool(isinstance(value, str) and _NUMBER.fullmatch(value))


def _flag_hint(value: Any) -> str | None:
    word = str(value).lower()
    if word in {"true", "yes", "on"}:
        return "write true, without quotes"
    return "write false, without quotes" if word in {"false", "no", "off"} else None


def _text_hint(value: Any) -> str:
    return f'write "{str(value).lower() if isinstance(value, bool) else value}", in quotes'


_PLAIN: dict[str, tuple[Any, str, Any]] = {
    "text": (lambda value: isinstance(value, str), "text", _text_hint),
    "flag": (lambda value: isinstance(value, bool), "true or false", _flag_hint),
    "integer": (_is_whole, "a whole number", lambda _: "write it without quotes"),
    "number": (_is_number, "a number", lambda _: None),
    "quantity": (
        lambda value: isinstance(value, str) or _is_whole(value),
        "a quantity like 512Mi",
        lambda _: None,
    ),
    "duration": (
        lambda value: isinstance(value, str) and DURATION.fullmatch(value),
        "a duration like 1h30m or 20s",
        lambda value: f"write {value}s, for seconds" if _is_whole(value) else None,
    ),
    "anything": (lambda _: True, "anything", lambda _: None),
}
"""By type: whether a value fits, what is expected, and the advice for one that does not."""


def _show(value: Any) -> str:
    if isinstance(value, str):
        return ascii(value[:_SHOWN])
    return str(value).lower() if isinstance(value, (bool, int)) else kind(value)

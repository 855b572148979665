"""Make hostile documents out of good ones: YAML, JSON and XML; the same seed gives the same bytes.

::

    for mutant in mutants(document, "yaml", seed=7, count=1000):
        try:
            read(decode(mutant, "cluster.yaml"), "cluster.yaml")
        except AirseedError:
            pass                                # anything else is a bug

One mutant in four is broken as text or bytes, and mostly ends at the first syntax check. The
others are taken apart, changed as values and written anew, and mostly get past it.
"""

from __future__ import annotations

import json
import random
import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any, Literal

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Kind = Literal["yaml", "json", "xml"]

_MARKS: list[str] = [
    *"{}[]:,&*#?|-<>=!%@\"'`\\/. \t\n\r\0",
    "\x1b[31m",
    "\ufeff",
    "\u2028",
    "\u202e",
    "é",
    "🦊",
]
_LINES = {
    "yaml": [
        "---", "...", "%YAML 9.9", "%TAG ! tag:x,2000:", "? [a, b]", "<<: *a", "a: &a [*a]",
        "- - - -",
        "!!python/object/apply:os.system [id]", "!x y", "key: |2-", "\t- tab", "a: *nothing",
        "z: &z {z: [&y [1, 2], *y, *y]}", "? ", ": ", "{", "]", '"', "'", "name: again", "@", "`",
    ],
    "json": ["{", "}", "]", ",", '"a": 1,', "null", "NaN", "-", "1e999", '"\\ud800"', "//",
    "[" * 2000],
    "xml": [
        "<", ">", "&", "&x;", "]]>", "<![CDATA[", "<!--", "<?xml version='1.0'?>", "</metadata>",
        "\x01",
        "<!DOCTYPE a SYSTEM 'file:///etc/passwd'>", "<a xmlns='", "&#x0;", "&#xD800;",
        "<" + "a" * 5000,
    ],
}  # fmt: skip
_BAD_BYTES = [
    b"\xff",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"\xfe\xff",
    b"\x80",
    b"\0\0\0",
    b"\xf8\x88\x80\x80\x80",
]
_STRANGE: list[Any] = [
    None, True, False, 0, 1, -1, 2**31, 2**63, -(2**63), 10**30, 10**400, 1.5, -0.0, 1e308,
    float("inf"), float("nan"),
    "", " ", "~", "yes", "null", "0x1f", "010", "1_000", "1e3", "NaN", "1.20", "=", "<<",
    "2020-01-01", "12:30:45",
    ".", "..", "../../../../etc/passwd", "/etc/passwd", "a/../b", "a//b", "C:\\x", "-rf", "$(id)",
    "`id`", "%00", "{{ x }}",
    "\0", "\x1b]0;x\x07", "a\nb", "a\r\nb", "\u202eabc", "\ud800", "İ", "ß", "\u0663", "é" * 300,
    "\U0010ffff", "x" * 100_000,
    "http://u:p@[::1", "http://[", "https://h:99999/x", "file:///etc/passwd", "ftp://h/x", "://",
    "sha256:" + "0" * 64,
    "sha256:" + "G" * 64, "0.0.0.0/0", "::/0", "10.0.0.0/33", "10.0.0.1/8", "fe80::1%eth0",
    "::ffff:10.0.0.1", "999.1.1.1",
    "[::1]:99999", ":", "a:b:c", "a=b=c:NoSchedule", "\u0663.\u0664.\u0665", "1.18.5.6", "v1.18",
    "linux/", "*/*",
    "a@b@c",
    [], {}, [[]], [None], {"": ""}, {"a": {"b": {"c": {}}}}, [{}] * 50, ["x"] * 2000,
]  # fmt: skip
_KEYS = [
    "", " ", "a.b", "[0]", "x" * 2000, "\0", "\n", "é", "__class__", "__proto__", "self", "nodes",
    "name", "<<", "null", "true",
    "1", "-", "\ud800", "\u202e", "kw_only", "version", "default",
]  # fmt: skip


class Pairs(list[tuple[str, Any]]):
    """Be a mapping that may have a key twice."""


class _Deep:
    """Be a value inside so many lists that nobody should walk down to it."""

    def __init__(self, inner: Any, levels: int) -> None:
        self.inner = inner
        self.levels = levels


def mutants(document: str, kind: Kind, *, seed: int, count: int) -> Iterator[bytes]:
    """Return mutants of a document as bytes; mutant n of a seed is always the same."""
    value = None if kind == "xml" else _pairs(_load(document, kind))
    for index in range(count):
        rng = random.Random(f"{seed}:{index}")
        if index % 4 == 0:
            yield _broken(rng, document, kind)
        elif value is None:
            yield _xml(rng, document)
        else:
            yield dump(_changed(rng, value), kind)


def _load(document: str, kind: Kind) -> Any:
    # BaseLoader leaves text as it is written, as airseed's own loader does for 1.18
    return json.loads(document) if kind == "json" else yaml.load(document, yaml.BaseLoader)  # noqa: S506 -- it makes text only


def _pairs(value: Any) -> Any:
    if isinstance(value, dict):
        return Pairs((key, _pairs(item)) for key, item in value.items())
    return [_pairs(item) for item in value] if isinstance(value, list) else value


# Text and bytes


def _broken(rng: random.Random, document: str, kind: Kind) -> bytes:
    text = document
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        text = rng.choice(_TEXT)(rng, text, kind)
    content = text.encode("utf-8", "surrogatepass")
    if rng.random() < 0.15:
        place = rng.randrange(len(content) + 1)
        content = content[:place] + rng.choice(_BAD_BYTES) + content[place:]
    return content


def _span(rng: random.Random, text: str) -> tuple[int, int]:
    start = rng.randrange(len(text) + 1)
    return start, min(len(text), start + rng.choice([1, 1, 2, 8, 40, 400]))


def _cut(rng: random.Random, text: str, kind: Kind) -> str:
    start, end = _span(rng, text)
    return text[:start] + text[end:]


def _repeat(rng: random.Random, text: str, kind: Kind) -> str:
    start, end = _span(rng, text)
    return text[:end] + text[start:end] * rng.choice([1, 1, 2, 100]) + text[end:]


def _mark(rng: random.Random, text: str, kind: Kind) -> str:
    place = rng.randrange(len(text) + 1)
    marks: str = rng.choice(_MARKS) * rng.choice([1, 1, 1, 3, 200])
    return text[:place] + marks + text[place:]


def _end(rng: random.Random, text: str, kind: Kind) -> str:
    return text[: rng.randrange(len(text) + 1)]


def _line(rng: random.Random, text: str, kind: Kind) -> str:
    lines = text.split("\n")
    indent = " " * rng.choice([0, 0, 2, 4])
    lines.insert(rng.randrange(len(lines) + 1), indent + rng.choice(_LINES[kind]))
    return "\n".join(lines)


def _shuffle(rng: random.Random, text: str, kind: Kind) -> str:
    lines = text.split("\n")
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    return "\n".join(lines)


def _indent(rng: random.Random, text: str, kind: Kind) -> str:
    lines = text.split("\n")
    place = rng.randrange(len(lines))
    lines[place] = rng.choice([" ", "  ", "\t", "    "]) + lines[place].lstrip()
    return "\n".join(lines)


def _flip(rng: random.Random, text: str, kind: Kind) -> str:
    if not text:
        return "\0"
    place = rng.randrange(len(text))
    return text[:place] + chr(ord(text[place]) ^ (1 << rng.randrange(7))) + text[place + 1 :]


_TEXT: list[Callable[[random.Random, str, Kind], str]] = [
    _cut, _repeat, _mark, _mark, _end, _line, _shuffle, _indent, _flip, _flip,
]  # fmt: skip


# Values: a place is a container and a position in it


def _changed(rng: random.Random, value: Any) -> Any:
    root = [_copy(value)]
    for _ in range(rng.choice([1, 1, 1, 2, 3, 6])):
        places = [*_places(root)]
        container, index = rng.choice(places)
        if container is root and rng.random() < 0.9 and len(places) > 1:
            container, index = rng.choice(places[1:])
        rng.choice(_VALUE)(rng, container, index, root)
        root = root[:1] or [None]
    return root[0]


def _copy(value: Any) -> Any:
    if isinstance(value, Pairs):
        return Pairs((key, _copy(item)) for key, item in value)
    return [_copy(item) for item in value] if isinstance(value, list) else value


def _places(root: list[Any]) -> Iterator[tuple[list[Any], int]]:
    todo = [root]
    while todo:
        container = todo.pop()
        for index in range(min(len(container), 500)):
            yield container, index
            inner = _get(container, index)
            if isinstance(inner, list):
                todo.append(inner)


def _get(container: list[Any], index: int) -> Any:
    return container[index][1] if isinstance(container, Pairs) else container[index]


def _set(container: list[Any], index: int, value: Any) -> None:
    container[index] = (container[index][0], value) if isinstance(container, Pairs) else value


def _odd(rng: random.Random, container: list[Any], index: int, root: list[Any]) -> None:
    _set(container, index, _pairs(rng.choice(_STRANGE)))


def _drop(rng: random.Random, container: list[Any], index: int, root: list[Any]) -> None:
    del container[index]


def _double(rng: random.Random, container: list[Any], index: int, root: list[Any]) -> None:
    times = rng.choice([1, 1, 1, 2]) if isinstance(container, Pairs) else rng.choice([1, 1, 2, 300])
    container[index:index] = [_copy_entry(container[index]) for _ in range(times)]


def _copy_entry(entry: Any) -> Any:
    return (entry[0], _copy(entry[1])) if isinstance(entry, tuple) else _copy(entry)


def _swap(rng: random.Random, container: list[Any], index: int, root: list[Any]) -> None:
    other, place = rng.choice([*_places(root)])
    one, two = _copy(_get(container, index)), _copy(_get(other, place))
    _set(container, index, two)
    if rng.random() < 0.5 and other is not root:
        _set(other, place, one)


def _rename(rng: random.Random, container: list[Any], index: int, root: list[Any]) -> None:
    if not isinstance(container, Pairs):
        _wrap(rng, container, index, root)
        return
    key, value = container[index]
    place = rng.randrange(len(key) + 1)
    fresh = [key[:place] + key[place + 1 :], key.upper(), key + "s", key.replace("-", "_"), *_KEYS]
    container[index] = (rng.choice(fresh), value)


def _add(rng: random.Random, container: list[Any], index: int, root: list[Any]) -> None:
    value = _pairs(rng.choice(_STRANGE))
    entry = (rng.choice(_KEYS), value) if isinstance(container, Pairs) else value
    container.insert(index, entry)


def _wrap(rng: random.Random, container: list[Any], index: int, root: list[Any]) -> None:
    value = _get(container, index)
    levels = rng.choice([1, 1, 1, 2, 3, 60, 70, 5000])
    if levels > 3:
        value = _Deep(value, levels)
    else:
        for _ in range(levels):
            value = [value] if rng.random() < 0.7 else Pairs([("a", value)])
    _set(container, index, value)


def _unwrap(rng: random.Random, container: list[Any], index: int, root: list[Any]) -> None:
    value = _get(container, index)
    if isinstance(value, list) and value:
        _set(container, index, _copy(_get(value, rng.randrange(len(value)))))
    else:
        _retype(rng, container, index, root)


def _retype(rng: random.Random, container: list[Any], index: int, root: list[Any]) -> None:
    value = _get(container, index)
    if isinstance(value, bool) or value is None:
        fresh: Any = rng.choice([str(value), 0, [value], Pairs([("x", value)])])
    elif isinstance(value, (float, _Deep)):
        fresh = 7
    elif isinstance(value, int):
        fresh = rng.choice(
            [
                str(value),
                -value,
                value + 1,
                value - 1,
                value * 1000,
                value << 64,
                value % 1000 + 0.5,
            ]
        )
    elif isinstance(value, str):
        fresh = _edit(rng, value)
    else:
        fresh = rng.choice([len(value), "", None, type(value)(value[:1])])
    _set(container, index, fresh)


def _edit(rng: random.Random, text: str) -> Any:
    place = rng.randrange(len(text) + 1)
    return rng.choice([
        text[:place], text[place:], text + text, text.upper(), text[::-1], f" {text}", f"{text}\n",
        f"{text}/", f"/{text}",
        text[:place] + rng.choice(_MARKS) + text[place:], text[:place] + text[place + 1 :],
        text * 50, f"https://{text}",
        text[:place] + chr(33 + rng.randrange(94)) + text[place + 1 :], [text], Pairs([("name",
        text)]), re.sub(r"\d", "9", text),
        re.sub(r"\d+", str(rng.choice([0, 1, 255, 256, 10**20])), text, count=1), f"{text}:{text}",
        f"{text}@{text}",
    ])  # fmt: skip


_VALUE: list[Callable[[random.Random, list[Any], int, list[Any]], None]] = [
    _odd, _odd, _drop, _drop, _double, _swap, _swap, _rename, _add, _wrap, _unwrap, _retype,
    _retype, _retype,
]  # fmt: skip


def dump(value: Any, kind: Kind) -> bytes:
    """Write plain values and :class:`Pairs` as JSON, or as YAML in block style."""
    text = "".join(_json(value)) if kind == "json" else "".join(_yaml(value, 0))
    return text.encode("utf-8", "surrogatepass")


def _json(value: Any) -> Iterator[str]:
    """Write without recursion: mutants may be nested as deep as they like."""
    todo: list[Any] = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, _Token):
            yield item
        elif isinstance(item, _Deep):
            todo += [_Token("]" * item.levels), item.inner]
            yield "[" * item.levels
        elif isinstance(item, list):
            mapping = isinstance(item, Pairs)
            parts: list[Any] = []
            for entry in item:
                if parts:
                    parts.append(_Token(","))
                parts += [_Token(json.dumps(entry[0]) + ":"), entry[1]] if mapping else [entry]
            todo += [_Token("}" if mapping else "]"), *reversed(parts)]
            yield "{" if mapping else "["
        else:
            yield _number(item) or json.dumps(item)


class _Token(str):
    """Text that is written as it is."""

    __slots__ = ()


def _number(item: Any) -> str | None:
    # json.dumps and str refuse more digits than sys.get_int_max_str_digits
    return f"{item:#x}" if isinstance(item, int) and item.bit_length() > 4000 else None


def _yaml(value: Any, depth: int) -> Iterator[str]:
    if not isinstance(value, list) or not value or depth > 40:
        yield "".join(_flow(value)) + "\n"
        return
    for entry in value:
        yield "  " * depth + (f"{_scalar(entry[0])}:" if isinstance(value, Pairs) else "-")
        inner = entry[1] if isinstance(value, Pairs) else entry
        yield "\n" if isinstance(inner, list) and inner and depth < 40 else " "
        yield from _yaml(inner, depth + 1)


def _flow(value: Any) -> Iterator[str]:
    return _json(value) if isinstance(value, (list, _Deep)) else iter([_scalar(value)])


_PLAIN = re.compile(r"(?!.*(?:: |[: ]$))[\w./+=~<][\w./+=~<:@ -]*")


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return value  # without quotes, so that the loader's own reading of words is met
    return _number(value) or json.dumps(
        value, ensure_ascii=isinstance(value, str) and "\ud800" in value
    )


# XML


def _xml(rng: random.Random, document: str) -> bytes:
    # some parsers know names by their usual prefix only; made-up ones would end at the root
    for prefix, uri in re.findall(r'xmlns(?::([a-z]+))?="([^"]+)"', document):
        ET.register_namespace(prefix, uri)
    root = ET.fromstring(document)  # noqa: S314 -- a good document of our own
    for _ in range(rng.choice([1, 1, 1, 2, 3, 6])):
        parents = {child: parent for parent in root.iter() for child in parent}
        rng.choice(_TREE)(rng, rng.choice([*root.iter()]), parents)
    text = ET.tostring(root, encoding="unicode")
    levels = rng.choice([10, 100, 20_000])
    text = text.replace(_NEST, "<x>" * levels + "</x>" * levels)
    if rng.random() < 0.1:
        text = rng.choice(_PROLOGUES) + text
    return text.encode("utf-8", "surrogatepass")


_PROLOGUES = [
    '<?xml version="1.0" encoding="UTF-16"?>', '<?xml version="1.0" encoding="rot13"?>',
    "<!-- x -->", "\ufeff",
    '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>',
    '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/x">',
]  # fmt: skip
_NEST = "(nest)"
_Parents = dict[ET.Element, ET.Element]


def _words(rng: random.Random) -> str:
    word = rng.choice([item for item in _STRANGE if isinstance(item, (str, int))])
    return re.sub(r"[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]", "?", _number(word) or str(word))


def _xml_text(rng: random.Random, element: ET.Element, parents: _Parents) -> None:
    element.text = _words(rng) if rng.random() < 0.6 else (element.text or "") * 2


def _xml_attribute(rng: random.Random, element: ET.Element, parents: _Parents) -> None:
    keys = [*element.attrib]
    if keys and rng.random() < 0.4:
        del element.attrib[rng.choice(keys)]
    elif keys and rng.random() < 0.9:
        key = rng.choice(keys)
        edited = _edit(rng, element.attrib[key])
        usable = isinstance(edited, str) and "\0" not in edited and "\x1b" not in edited
        element.attrib[key] = edited if usable else _words(rng)
    else:
        element.attrib[rng.choice(["href", "type", "epoch", "x"])] = _words(rng)


def _xml_drop(rng: random.Random, element: ET.Element, parents: _Parents) -> None:
    if element in parents:
        parents[element].remove(element)


def _xml_double(rng: random.Random, element: ET.Element, parents: _Parents) -> None:
    if element in parents:
        copy = ET.fromstring(ET.tostring(element))  # noqa: S314 -- our own
        parents[element].insert(0, copy)


def _xml_rename(rng: random.Random, element: ET.Element, parents: _Parents) -> None:
    name = element.tag.rpartition("}")[2]
    element.tag = rng.choice([name, name.upper(), "x", f"{{urn:x}}{name}", "package", "metadata"])


def _xml_nest(rng: random.Random, element: ET.Element, parents: _Parents) -> None:
    element.text = _NEST


def _xml_move(rng: random.Random, element: ET.Element, parents: _Parents) -> None:
    others = [*parents]
    if element in parents and others:
        parents[element].remove(element)
        other = rng.choice(others)
        if other not in set(element.iter()):
            other.append(element)


_TREE: list[Callable[[random.Random, ET.Element, _Parents], None]] = [
    _xml_text, _xml_text, _xml_attribute, _xml_attribute, _xml_attribute, _xml_drop, _xml_double,
    _xml_rename, _xml_nest,
    _xml_move,
]  # fmt: skip

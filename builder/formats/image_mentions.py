"""What looks like an image's name in a manifest's values, wherever it stands.

Arguments, environments, annotations, ConfigMaps and fields of custom resources name images that
somebody starts later. Nothing proves that they do, so what is found here is for a person to read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from builder.errors import DocumentError
from builder.formats.events import Scalar
from builder.formats.reading import child
from builder.formats.text import yaml_documents
from builder.model.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSED_BY = frozenset({
    "labels", "matchLabels", "nodeSelector", "selector", "managedFields", "caBundle", "binaryData",
    "kubectl.kubernetes.io/last-applied-configuration",
})  # fmt: skip
"""Keys whose values name no images, or repeat what stands elsewhere."""
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]*")
_BETWEEN = re.compile(r"[\"']?[ \t]*[:=]?[ \t]*[\"']?")
_ENDS_LINE = re.compile(r"[\"']?[ \t\r]*(?:\n|\Z)")
_LONGEST = 400
_LARGEST = 1 << 18
"""Characters of a text that may be a document of its own."""
_LISTED = re.compile(r"[\s,;]*")
_IS_IMAGE = re.compile(
    r"(?i)(?:image|image[-_]?name|image[-_]?ref(?:erence)?|images|related[-_]image[-_]\w+)$"
)
_ABOUT_IMAGE = re.compile(r"(?i)image(?!.*(?:polic|secret|pull|registr|repositor|gc|path|size))")
_PICTURE = re.compile(r"\.(?:png|svg|jpe?g|gif|ico|qcow2|img|iso|vmdk|raw)$")
_NO_NAMES = frozenset({"true", "false", "yes", "no", "none", "null", "auto", "default", "latest"})
_NO_TAGS = frozenset({"NoSchedule", "NoExecute", "PreferNoSchedule"})
_SCHEMES = frozenset({"docker", "oci", "docker-daemon", "containerd"})
_REPOSITORY_KEYS = ("repository", "image", "imageName", "baseImage")
_DIGEST_KEY = "digest"
_TAG_KEYS = ("tag", "imageTag", _DIGEST_KEY, "version")
_REGISTRY_KEYS = ("registry", "imageRegistry", "host")
_PARTS = tuple(
    re.compile(rf"\b(?:{'|'.join(keys)})[\"']?\s*:") for keys in (_REPOSITORY_KEYS, _TAG_KEYS)
)
"""What a text has in which an image is said in several fields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    name: str
    """As ``extra.images`` takes it."""
    path: str
    scalar: Scalar
    lines: int = 0
    """Line breaks before it in the string."""
    registry: Scalar | None = None
    """Where the registry is said, if in a field of its own."""
    tagged_apart: bool = False
    """Whether its tag is said in another field."""
    digest_apart: bool = False
    """Whether its digest is."""


def find(value: Any, path: str = "") -> Iterator[Mention]:
    """Yield what looks like an image below a value; what aliases repeat is looked at once."""
    yield from _find(value, path, "", set())


def in_schema(
    value: Any, path: str = "", name: str = "", *, fields: bool = False
) -> Iterator[Mention]:
    """Yield the same of what the API server fills in where the field ``name`` is left out.

    ``fields`` says that a value has the schemas of fields by their names.
    """
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from in_schema(item, f"{path}[{number}]", name)
    elif isinstance(value, dict):
        for key, inner in value.items():
            where = child(path, key)
            if fields:
                yield from in_schema(inner, where, key)
            elif key == "default" and name:
                yield from _find(inner, where, name, set())
            else:
                yield from in_schema(inner, where, name, fields=key == "properties")


def _find(value: Any, path: str, label: str, seen: set[int]) -> Iterator[Mention]:
    """Yield what there is below a value that ``label`` says something about."""
    if isinstance(value, (list, dict)):
        if id(value) in seen:
            return
        seen.add(id(value))
    if isinstance(value, Scalar):
        yield from _in_text(value, path, label)
        yield from _in_document(value, path)
    elif isinstance(value, list):
        flag = ""
        for number, item in enumerate(value):
            yield from _find(item, f"{path}[{number}]", flag or label, seen)
            flag = item if isinstance(item, str) and item.startswith("-") else ""
    elif isinstance(value, dict):
        name, done = _composed(value, label)
        if name:
            registry = next((value[key] for key in done if key in _REGISTRY_KEYS), None)
            yield Mention(
                name=name,
                path=child(path, done[0]),
                scalar=value[done[0]],
                registry=registry if isinstance(registry, Scalar) else None,
                # Calico's ImageSet has names beside digests, which its operator puts together
                tagged_apart="@" not in name or done[0] == _REPOSITORY_KEYS[0],
                digest_apart="@" in name,
            )
        for key, inner in value.items():
            if key not in done and key not in PASSED_BY:
                yield from _find(inner, child(path, key), _label(value, key, label), seen)


def _is_image(label: str) -> bool:
    """Tell whether a label says that something is an image; the longest ones say nothing."""
    return len(label) <= _LONGEST and _IS_IMAGE.search(label) is not None


def _label(mapping: dict[str, Any], key: str, outer: str) -> str:
    """Return what says something about a field of a mapping that ``outer`` says something about."""
    variable = mapping.get("name")
    if key == "value" and isinstance(variable, str):
        return variable
    # of an image whose tag is left out
    return outer if key == "repository" and _is_image(outer) else key


def _composed(mapping: dict[str, Any], label: str) -> tuple[str, tuple[str, ...]]:
    """Join an image that is said in several fields; return it with the fields, or nothing."""
    keys = (*_REPOSITORY_KEYS, "name") if _is_image(label) else _REPOSITORY_KEYS
    said = (key for key in keys if isinstance(mapping.get(key), Scalar))
    name = next((key for key in said if not is_exact(mapping[key])), "")
    tag = next((key for key in _TAG_KEYS if isinstance(mapping.get(key), (str, int))), "")
    if not name or not tag or isinstance(mapping[tag], bool):
        return "", ()
    registry = next((key for key in _REGISTRY_KEYS if isinstance(mapping.get(key), str)), "")
    repository = str(mapping[name])
    if registry and not has_host(repository):
        repository = f"{mapping[registry].rstrip('/')}/{repository}"
    text = f"{repository}{'@' if str(mapping[tag]).startswith('sha256:') else ':'}{mapping[tag]}"
    digest = mapping.get(_DIGEST_KEY)
    both = tag != _DIGEST_KEY and "@" not in text and isinstance(digest, str) and bool(digest)
    text = f"{text}@{digest}" if both else text
    used = tuple(key for key in (name, tag, registry, _DIGEST_KEY if both else "") if key)
    return (text, used) if parsed(text) else ("", ())


def _in_text(scalar: Scalar, path: str, label: str) -> Iterator[Mention]:
    whole, seen, lines = scalar.strip(), 0, 0
    before, before_end = "", -1
    listed, listed_end = label, 0
    for match in _WORD.finditer(scalar):
        word = match[0].rstrip(".:/@-")
        said, alone = (label, True) if word == whole else ("", False)
        if before and _BETWEEN.fullmatch(scalar, before_end, match.start()):
            said, alone = before, _ENDS_LINE.match(scalar, match.end()) is not None
        elif not said and _LISTED.fullmatch(scalar, listed_end, match.start()):
            said = listed  # one of several
        listed, listed_end = said, match.end()
        scheme, mark, rest = word.partition("://")
        name = rest if mark and scheme in _SCHEMES else word
        if "://" not in name and _looks_like_one(name, said, alone=alone):
            lines += scalar.count("\n", seen, match.start())
            seen = match.start()
            yield Mention(name=name, path=path, scalar=scalar, lines=lines)
        # a word before this one says what it is as "key: x", "key=x" or "--key x" do
        flag = scalar[max(0, match.start() - 1) : match.start()] == "-"
        end = match.end()
        joined = match[0].endswith(":") or scalar[end : end + 4].lstrip("\"' \t")[:1] in {":", "="}
        before, before_end = (word, end) if flag or joined else ("", -1)


def says_apart(scalar: Scalar) -> bool:
    """Tell whether a text is YAML or JSON that says an image in several fields."""
    return any(found.tagged_apart or found.registry for found in _inside(scalar, ""))


def _in_document(scalar: Scalar, path: str) -> Iterator[Mention]:
    """Yield what a text that is YAML or JSON itself says in several fields."""
    for found in _inside(scalar, path):
        if found.tagged_apart or found.registry or found.digest_apart:
            lines = scalar.count("\n", 0, found.scalar.start)
            yield Mention(
                name=found.name,
                path=path,
                scalar=scalar,
                lines=lines,
                digest_apart=found.digest_apart,
            )


def _inside(scalar: Scalar, path: str) -> Iterator[Mention]:
    """Yield what looks like an image in a text that is YAML or JSON itself."""
    if len(scalar) > _LARGEST or not all(part.search(scalar) for part in _PARTS):
        return
    try:
        documents = [one.value for one in yaml_documents(str(scalar), path, manifest=True)]
    except DocumentError:
        return
    yield from find(documents)


def _looks_like_one(name: str, said: str, *, alone: bool) -> bool:
    if len(name) > _LONGEST or name.startswith("sha256:") or _PICTURE.search(name):
        return False
    tag = name.rpartition("/")[2].partition(":")[2]
    if tag in _NO_TAGS:
        return False
    exact, slash = is_exact(name), "/" in name
    about, is_image = len(said) <= _LONGEST and _ABOUT_IMAGE.search(said), _is_image(said)
    likely = (
        is_whole(name)
        or (exact and about)
        or (exact and slash and alone and not tag.isdigit())
        or (is_image and name not in _NO_NAMES and (slash or alone))
    )
    return bool(likely) and parsed(name) is not None


def parsed(name: str) -> Reference | None:
    try:
        return Reference.parse(name)
    except ValueError:
        return None


def is_exact(name: str) -> bool:
    return "@" in name or ":" in name.rpartition("/")[2]


def has_host(name: str) -> bool:
    host, slash, _ = name.partition("/")
    return bool(slash) and ("." in host or ":" in host or host == "localhost")


def is_whole(name: str) -> bool:
    """Tell whether a name is an image's wherever it stands: with a host, and a tag or a digest."""
    return is_exact(name) and has_host(name)

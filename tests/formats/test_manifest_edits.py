"""Edits of manifests: every image gets its name in the registry, and nothing else changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from builder.errors import DocumentError
from builder.formats import manifests
from builder.formats.manifest_edits import Edit, applied, edits, render
from builder.formats.text import decode
from builder.model.digest import Digest
from builder.model.image_names import ImageNames
from builder.model.reference import Reference

UPSTREAM = Path(__file__).parents[3] / "shared/upstream/calico"
REAL = sorted(UPSTREAM.glob("*/*.yaml"))
REGISTRY = "r.lan:5/k"
KNOWN = ("nginx:1.25", "busybox", "calico/node:v3", f"quay.io/a/b@sha256:{'0' * 64}", "x.io/a:1")
POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n"
CONTAINER = f"{POD}  containers:\n  - name: a\n    "
CUSTOM = "apiVersion: x.io/v1\nkind: Thing\nmetadata: {name: t}\nspec:\n"


def targets(*names: str) -> dict[Reference, str]:
    """Return what the images of these names are called in the registry."""
    references = map(Reference.parse, names or KNOWN)
    return ImageNames(REGISTRY).table(references)


def edited(text: str) -> str:
    """Return a manifest after its edits."""
    content = text.encode()
    return applied(content, edits(content, "m.yaml", targets())).decode()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("image: nginx:1.25", "image: r.lan:5/k/library/nginx:1.25"),
        ('image: "nginx:1.25"  # ours', 'image: "r.lan:5/k/library/nginx:1.25"  # ours'),
        ("image: 'calico/node:v3'", "image: 'r.lan:5/k/calico/node:v3'"),
        ('"image": nginx:1.25', '"image": r.lan:5/k/library/nginx:1.25'),
        ('"im\\x61ge": nginx:1.25', '"im\\x61ge": r.lan:5/k/library/nginx:1.25'),
        ("? image\n    : nginx:1.25", "? image\n    : r.lan:5/k/library/nginx:1.25"),
        ("image: &img nginx:1.25", "image: &img r.lan:5/k/library/nginx:1.25"),
        ("image: &busybox busybox", "image: &busybox r.lan:5/k/library/busybox:latest"),
        ("image: !!str nginx:1.25", "image: !!str r.lan:5/k/library/nginx:1.25"),
        (
            "image: >- # nginx:1.25\n      nginx:1.25\n",
            "image: >- # nginx:1.25\n      r.lan:5/k/library/nginx:1.25\n",
        ),
        (
            "image: |-\n      busybox\n    tty: true",
            "image: |-\n      r.lan:5/k/library/busybox:latest\n    tty: true",
        ),
        ("image:\n      nginx:1.25", "image:\n      r.lan:5/k/library/nginx:1.25"),
        ('image: "ngin\\x78:1.25"', 'image: "r.lan:5/k/library/nginx:1.25"'),
        ('image: "nginx\\\n      :1.25"', 'image: "r.lan:5/k/library/nginx:1.25"'),
        (
            f"image: quay.io/a/b@sha256:{'0' * 64}",
            "image: r.lan:5/k/a/b:digest-000000000000",
        ),
        (
            "args: [--helper=x.io/a:1, x.io/a:2, nginx:1.25, x.io/a]",
            "args: [--helper=r.lan:5/k/a:1, x.io/a:2, nginx:1.25, x.io/a]",
        ),
        (
            "command: [ü𝄞]\r\n    image: busybox\r\n",
            "command: [ü𝄞]\r\n    image: r.lan:5/k/library/busybox:latest\r\n",
        ),
    ],
)  # fmt: skip
def test_every_spelling_of_an_image(before: str, after: str) -> None:
    assert edited(CONTAINER + before) == CONTAINER + after


@pytest.mark.parametrize(
    "name",
    ["busybox", "busybox:latest", "library/busybox", "docker.io/busybox",
     "docker.io/library/busybox:latest", "index.docker.io/library/busybox",
     "registry-1.docker.io/busybox"],
)  # fmt: skip
def test_one_image_has_many_names(name: str) -> None:
    after = f"{CONTAINER}image: r.lan:5/k/library/busybox:latest"
    assert edited(f"{CONTAINER}image: {name}") == after


def test_without_a_registry_only_digests_are_replaced() -> None:
    """What was loaded from a file has tags alone; every other name is what a node knows."""
    digest = f"@sha256:{'1' * 64}"
    stays = "  - image: nginx:1.25\n  - image: docker.io/busybox\n  - image: index.docker.io/b/c\n"
    text = (
        f"{POD}  containers:\n{stays}  - image: k.io/in/controller:v1{digest}\n"
        f"    args: [--helper=k.io/in/helper{digest}, --other=k.io/un/locked{digest}]\n"
        f"  - image: 'nginx{digest}'\n  - image: registry-1.docker.io/library/busybox:1\n"
    )
    names = (f"k.io/in/controller:v1{digest}", f"k.io/in/helper{digest}", f"nginx{digest}")
    known = [*map(Reference.parse, (*names, "nginx:1.25", "busybox", "b/c", "busybox:1"))]
    table = ImageNames(None).table(known)
    content = text.encode()
    made = edits(content, "m.yaml", table, complete=False)
    assert applied(content, made).decode() == (
        f"{POD}  containers:\n{stays}  - image: k.io/in/controller:v1\n"
        f"    args: [--helper=k.io/in/helper:digest-111111111111, --other=k.io/un/locked{digest}]\n"
        "  - image: 'docker.io/library/nginx:digest-111111111111'\n"
        "  - image: docker.io/library/busybox:1\n"
    )
    plain = f"{POD}  containers:\n{stays}".encode()
    assert render(plain, "m.yaml", table, complete=False) == ""


def test_an_image_in_several_fields_is_one_image() -> None:
    text = (
        f"{CUSTOM}  one: {{repository: x.io/a, tag: '1'}}\n"
        "  two: {registry: x.io, image: a, tag: 1}\n"
        "  image: {name: nginx, tag: &tag '1.25'}\n  four: {repository: nginx, tag: *tag}\n"
        "  five: {repository: x.io/unknown, tag: 1}\n"
    )
    spec = yaml.safe_load(edited(text))["spec"]
    assert spec == {
        "one": {"repository": f"{REGISTRY}/a", "tag": "1"},
        "two": {"registry": "r.lan:5", "image": "k/a", "tag": 1},
        "image": {"name": f"{REGISTRY}/library/nginx", "tag": "1.25"},
        "four": {"repository": f"{REGISTRY}/library/nginx", "tag": "1.25"},
        "five": {"repository": "x.io/unknown", "tag": 1},
    }


INSIDE = (
    "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: >-\n      busybox\n"
    '  - {image: &a nginx:1.25, args: ["--x=x.io/a:1\\n"]}\n  - image: *a\n'
)


@pytest.mark.parametrize(
    "head",
    ["|\n", "|-\n", "|2+ # kept\n", "&x |\n", "!!str |\n"],
)
def test_a_manifest_inside_a_string_is_edited_like_any_other(head: str) -> None:
    lines = "".join(f"    {line}\n" for line in INSIDE.splitlines())
    text = (
        f"apiVersion: v1\nkind: ConfigMap\ndata:\n  pod.yaml: {head}{lines}\n  # after\n"
        "  other: busybox\nmetadata: {name: c}\n"
    )
    after = edited(text)
    value = yaml.safe_load(after)
    assert [image.text for image in manifests.read(value["data"]["pod.yaml"], "m").images] == [
        f"{REGISTRY}/library/busybox:latest",
        *[f"{REGISTRY}/library/nginx:1.25"] * 2,
    ]
    assert f"--x={REGISTRY}/a:1\\n" in json.dumps(yaml.safe_load(value["data"]["pod.yaml"]))
    assert after.endswith("\n\n  # after\n  other: busybox\nmetadata: {name: c}\n")


def test_an_image_in_several_fields_of_a_string_is_one_image() -> None:
    """As values of a chart are, wherever they stand."""
    values = "# ours\nimage:\n  registry: docker.io\n  repository: nginx\n  tag: '1.25'\n"
    text = CUSTOM + "  values: |\n" + "".join(f"    {line}\n" for line in values.splitlines())
    (made,) = (yaml.safe_load(edited(text))["spec"]["values"],)
    assert yaml.safe_load(made)["image"] == {
        "registry": "r.lan:5",
        "repository": "k/library/nginx",
        "tag": "1.25",
    }
    assert made.startswith("# ours\n")
    other = text.replace("1.25", "1.26")
    assert edited(other) == other


def test_a_field_that_is_whole_hides_no_other() -> None:
    """Prometheus had its image in three fields, and says it in one of them."""
    text = f"{CUSTOM}  image: 'x.io/a:1'\n  baseImage: x.io/a\n  tag: 1\n"
    assert yaml.safe_load(edited(text))["spec"] == {
        "image": "r.lan:5/k/a:1",
        "baseImage": "r.lan:5/k/a",
        "tag": 1,
    }


def test_strings_with_escapes_are_edited_by_their_value() -> None:
    text = (
        'apiVersion: v1\nkind: ConfigMap\ndata:\n  a: "one\\nimage: x.io/a:1\\t\\u00e4\\N"\n'
        '  b: "\\tx.io/a:1"\n  c: "no\\nimage"\n'
    )
    before, after = yaml.safe_load(text)["data"], yaml.safe_load(edited(text))["data"]
    assert after == {key: one.replace("x.io/a", f"{REGISTRY}/a") for key, one in before.items()}
    json_text = (
        '{"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "\\n\\"x.io/a:1\\"\\u007f"}}'
    )
    assert json.loads(edited(json_text))["data"] == {"a": f'\n"{REGISTRY}/a:1"\x7f'}


def test_an_alias_is_replaced_where_it_is_an_image() -> None:
    text = (
        f"{POD}  hostname: &name busybox\n  containers:\n  - &first {{name: *name, image: *name}}\n"
        "  initContainers:\n  - *first\n  - {name: c, image: &img nginx:1.25}\n"
        "  - {name: d, image: *img}\n"
    )
    assert edited(text) == text.replace(
        "image: *name", 'image: "r.lan:5/k/library/busybox:latest"'
    ).replace("nginx:1.25", "r.lan:5/k/library/nginx:1.25").replace(
        "image: *img", 'image: "r.lan:5/k/library/nginx:1.25"'
    )


def test_merge_keys_bring_images() -> None:
    text = (
        f"x: &a {{image: nginx:1.25}}\ny: &b {{image: busybox, tty: true}}\n{POD}"
        "  containers:\n  - {name: a, <<: *a}\n  - {<<: [*b, *a], name: b}\n"
        "  - {<<: *a, image: busybox}\n"
    )
    found = [str(image.reference) for image in manifests.read(text, "m").images]
    assert found == [
        "docker.io/library/nginx:1.25",
        "docker.io/library/busybox:latest",
        "docker.io/library/busybox:latest",
    ]
    assert edited(text) == text.replace("nginx:1.25", f"{REGISTRY}/library/nginx:1.25").replace(
        "image: busybox", f"image: {REGISTRY}/library/busybox:latest"
    )


def test_a_merge_key_takes_mappings_alone() -> None:
    with pytest.raises(DocumentError) as caught:
        edited(f"{POD}  <<: busybox\n")
    (fault,) = caught.value.faults
    assert str(fault) == "line 5: a merge key (<<) takes a mapping or a list of mappings"
    assert edited(f"{POD}  '<<': busybox\n") == f"{POD}  '<<': busybox\n"


def test_streams_and_json() -> None:
    pod = '{"kind": "Pod",\t"spec": {"containers": [{"image": "docker.io\\/calico\\/node:v3"}]}}'
    assert edited(f"\t{pod}") == "\t" + pod.replace(
        "docker.io\\/calico\\/node:v3", f"{REGISTRY}/calico/node:v3"
    )
    stream = f"# one\n{CONTAINER}image: busybox\n---\n{CONTAINER}image: nginx:1.25\n...\n"
    assert edited(stream) == stream.replace(
        "busybox", f"{REGISTRY}/library/busybox:latest"
    ).replace("nginx:1.25", f"{REGISTRY}/library/nginx:1.25")
    content = b"\xef\xbb\xbf" + f"{CONTAINER}image: busybox".encode()
    assert edits(content, "m.yaml", targets()) == (
        Edit(offset=len(content) - 7, size=7, text=f"{REGISTRY}/library/busybox:latest"),
    )


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ("digest: 'sha256:{}'", "k.io/in/a@sha256:{}"),
        ("tag: '1@sha256:{}'", "k.io/in/a:1@sha256:{}"),
        ("tag: '1', digest: 'sha256:{}'", "k.io/in/a:1@sha256:{}"),
    ],
)
def test_a_repository_beside_a_digest(fields: str, name: str) -> None:
    """Whoever puts them together asks the registry, which has the digest under its own name."""
    digest = "1" * 64
    text = f"kind: A\nspec: {{image: {{repository: k.io/in/a, {fields.format(digest)}}}}}\n"
    reference = Reference.parse(name.format(digest))
    for registry, repository in (("r.lan:5/k", '"r.lan:5/k/in/a"'), (None, "k.io/in/a")):
        table = ImageNames(registry).table([reference])
        changed = applied(text.encode(), edits(text.encode(), "m.yaml", table)).decode()
        assert changed == text.replace("k.io/in/a", repository)


def test_images_beside_pod_specs() -> None:
    """Those of custom resources and of manifests in ConfigMaps; never labels and other words."""
    text = (
        "kind: Installation\nmetadata: {labels: {image: busybox}}\n"
        "spec:\n  registry: quay.io/\n  imagePath: calico\n---\n"
        "kind: ImageSet\nspec: {images: [{image: calico/node, digest: d}]}\n---\n"
        "kind: Alertmanager\nspec:\n  image: &a x.io/a:1\n  sidecar: {image: *a}\n---\n"
        "kind: ConfigMap\ndata:\n  helper.yaml: |\n    spec:\n      containers:\n"
        "      - name: b\n        image: busybox\n  note: 'an image: nginx is one'\n"
        "  script: |\n    run x.io/a:1 and busybox\n---\n"
        "kind: CustomResourceDefinition\nspec: {description: 'image: no.where/at:all'}\n"
    )
    expected = (
        text.replace("image: &a x.io/a:1", f"image: &a {REGISTRY}/a:1")
        .replace("image: *a", f'image: "{REGISTRY}/a:1"')
        .replace("        image: busybox", f"        image: {REGISTRY}/library/busybox:latest")
        .replace("run x.io/a:1", f"run {REGISTRY}/a:1")
    )
    assert edited(text) == expected


def test_a_short_name_is_replaced_where_it_is_taken_for_an_image() -> None:
    text = (
        f"{CONTAINER}image: x.io/a:1\n    args: [--sidecar-image=nginx:1.25, --name, nginx]\n"
        "    env: [{name: RELATED_IMAGE_B, value: busybox}, {name: SHELL, value: busybox}]\n"
        "    command: [sh, -c, 'run --image calico/node:v3 for calico/node']\n"
    )
    expected = (
        text.replace("x.io/a:1", f"{REGISTRY}/a:1")
        .replace("nginx:1.25", f"{REGISTRY}/library/nginx:1.25")
        .replace("RELATED_IMAGE_B, value: busy", f"RELATED_IMAGE_B, value: {REGISTRY}/library/busy")
        .replace("busybox}, {", "busybox:latest}, {")
        .replace("calico/node:v3", f"{REGISTRY}/calico/node:v3")
    )
    assert edited(text) == expected


def test_what_kubectl_last_applied_needs_no_image() -> None:
    last = "kubectl.kubernetes.io/last-applied-configuration"
    text = f"{POD}  x: y\n".replace(
        "name: p", f'annotations: {{{last}: \'{{"image":"x.io/old:1"}}\'}}'
    )
    assert edited(text) == text


def test_every_image_without_a_target_is_named() -> None:
    with pytest.raises(DocumentError) as caught:
        edited(
            f"{CONTAINER}image: &x one\n  - {{name: b, image: *x}}\n---\n"
            f"{CUSTOM}  image: two:2\n---\nkind: ConfigMap\ndata: {{a: 'image: y.io/three:3'}}\n"
        )
    what = "has no name in the registry: it is not in the lock"
    hint = "put it into extra.images in cluster.yaml, then lock and bundle again"
    assert [(str(fault), fault.hint) for fault in caught.value.faults] == [
        (f"Pod p: spec.containers[0].image: one {what}", hint),
        (f"Pod p: spec.containers[1].image: one {what}", hint),
        (f"Thing t: spec.image: two:2 {what}", hint),
        (f"ConfigMap: data.a: y.io/three:3 {what}", hint),
    ]


def test_an_address_in_brackets_is_quoted_where_it_must() -> None:
    content = f"{CONTAINER}image: busybox\n    args: ['x.io/a:1']".encode()
    names = {
        Reference.parse(name): ImageNames("[fd00::1]:5000").name(Reference.parse(name))
        for name in ("busybox", "x.io/a:1")
    }
    made = applied(content, edits(content, "m.yaml", names)).decode()
    assert 'image: "[fd00::1]:5000/library/busybox:latest"' in made
    assert [image.text for image in manifests.read(made, "m").images] == [
        "[fd00::1]:5000/library/busybox:latest"
    ]


def test_what_a_node_applies() -> None:
    content = f"{CONTAINER}image: busybox\n  - {{image: x.io/a:1}}\n".encode()
    after = content.replace(b"busybox", b"r.lan:5/k/library/busybox:latest").replace(
        b"x.io", b"r.lan:5/k"
    )
    assert render(content, "m.yaml", targets()).splitlines() == [
        f"manifest {Digest.of(content).hex} {Digest.of(after).hex}",
        f"{content.index(b'busybox')} 7 r.lan:5/k/library/busybox:latest",
        "13 8 r.lan:5/k/a:1",
    ]
    assert render(b"kind: Namespace\n", "m.yaml", targets()).count("\n") == 1


def without_images(value: Any) -> Any:
    """Return a document's values without its images, to compare the rest."""
    if isinstance(value, dict):
        return {
            key: without_images(inner)
            for key, inner in value.items()
            if key != "image" or not isinstance(inner, str)
        }
    return [without_images(item) for item in value] if isinstance(value, list) else value


@pytest.mark.skipif(not REAL, reason="no manifests of Calico beside this checkout")
@pytest.mark.parametrize("path", REAL, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_real_manifests(path: Path) -> None:
    content = path.read_bytes()
    before = manifests.read(decode(content, "m"), "m").images
    names = ImageNames(REGISTRY).table(image.reference for image in before)
    made = applied(content, edits(content, "m", names)).decode()
    assert [image.text for image in manifests.read(made, "m").images] == [
        ImageNames(REGISTRY).name(image.reference) for image in before
    ]
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    assert without_images(list(yaml.load_all(made, loader))) == without_images(
        list(yaml.load_all(content, loader))
    )

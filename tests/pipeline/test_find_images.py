"""``airseed find-images``: every image that a manifest starts, wherever its pod spec lies."""

from __future__ import annotations

import base64
import gzip
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from builder.bundle.layout import README_PATH
from builder.cli.root import run
from builder.errors import DocumentError
from builder.formats import json_events
from builder.formats.events import Scalar
from builder.formats.text import yaml_documents
from builder.pipeline import find_images

if TYPE_CHECKING:
    from pathlib import Path

TEMPLATED = (
    "DaemonSet",
    "Deployment",
    "Job",
    "PodTemplate",
    "ReplicaSet",
    "ReplicationController",
    "StatefulSet",
)


def manifest(folder: Path, text: str, name: str = "m.yaml") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def started(*files: Path) -> list[str]:
    return [str(i.text) for one in find_images.find(files) for i in one.images]


@pytest.mark.parametrize("kind", TEMPLATED)
def test_workloads_with_a_template(kind: str, tmp_path: Path) -> None:
    place = "template" if kind == "PodTemplate" else "spec: {template"
    end = "" if kind == "PodTemplate" else "}"
    text = (
        f"apiVersion: v1\nkind: {kind}\nmetadata: {{name: x}}\n{place}: {{spec: {{"
        "initContainers: [{image: 'a/init:1'}], containers: [{image: 'a/main:1'}], "
        f"ephemeralContainers: [{{image: 'a/debug:1'}}]}}}}{end}\n"
    )
    assert started(manifest(tmp_path, text)) == ["a/init:1", "a/main:1", "a/debug:1"]


NESTED = {
    "a pod": "kind: Pod\nspec: {containers: [{image: 'a:1'}]}\n",
    "a CronJob": (
        "kind: CronJob\nspec: {jobTemplate: {spec: {template: {spec: "
        "{containers: [{image: 'a:1'}]}}}}}\n"
    ),
    "a List": "kind: List\nitems: [{kind: Pod, spec: {containers: [{image: 'a:1'}]}}]\n",
    "a typed list in a list": (
        "kind: List\nitems: [{kind: PodList, items: [{spec: {containers: [{image: 'a:1'}]}}]}]\n"
    ),
    "a template in a custom resource": (
        "kind: Thing\nspec: {pods: [{podTemplate: {spec: {containers: [{image: 'a:1'}]}}}]}\n"
    ),
    "JSON": '{"kind": "Pod", "spec":\t{"containers": [{"image": "a:1"}]}}',
    "a second document": "kind: Service\n---\n---\nkind: Pod\nspec: {containers: [{image: a:1}]}\n",
    "an anchor": (
        "kind: Pod\nx: &c [{image: 'a:1'}]\nspec: {containers: *c, initContainers: *c}\n"
    ),
    "an image volume": (
        "kind: Pod\nspec: {containers: [], volumes: [{image: {reference: 'a:1'}}]}\n"
    ),
}


@pytest.mark.parametrize("how", NESTED)
def test_wherever_it_lies(how: str, tmp_path: Path) -> None:
    assert {*started(manifest(tmp_path, NESTED[how]))} == {"a:1"}


STARTS_NOTHING = {
    "a definition": (
        "kind: CustomResourceDefinition\nspec: {versions: [{schema: {properties: {containers: "
        "[{image: 'a:1'}]}}}]}\n"
    ),
    "text": "kind: ConfigMap\ndata: {pod.yaml: 'spec: {containers: [{image: a:1}]}'}\n",
    "another key": "kind: Thing\nspec: {image: 'a:1', logo: {image: 'b:1'}}\n",
    "nothing": "\n---\n# only a comment\n",
}


@pytest.mark.parametrize("what", STARTS_NOTHING)
def test_what_starts_nothing(what: str, tmp_path: Path) -> None:
    assert started(manifest(tmp_path, STARTS_NOTHING[what])) == []


def test_one_reference_a_line_once_sorted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pod = "apiVersion: v1\nkind: Pod\nspec: {{containers: [{{image: '{}'}}, {{image: '{}'}}]}}\n"
    first = manifest(tmp_path, pod.format("nginx:1.25", "k8s.gcr.io/pause:3.2"), "1.yaml")
    second = manifest(tmp_path, pod.format("k8s.gcr.io/pause:3.2", f"b@sha256:{'a' * 64}"), "2.yml")
    assert run(["find-images", str(first), str(second)]) == 0
    assert capsys.readouterr() == (
        f"b@sha256:{'a' * 64}\nk8s.gcr.io/pause:3.2\nnginx:1.25\n",
        "looked into 2 documents of 2 files: 2 Pod\n",
    )


def test_standard_input_and_nothing_at_all(tmp_path: Path) -> None:
    def run_on(text: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "builder", "find-images", "-"],
            input=text,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    pod = "apiVersion: v1\nkind: Pod\nspec: {containers: [{image: a/b}]}\n"
    assert run_on(pod) == (0, "a/b\n", "looked into 1 document of 1 file: 1 Pod\n")
    assert run_on("just words\n") == (
        0,
        "",
        (
            "looked into 1 document of 1 file: 1 without a kind\n"
            "warning: more images may be started by what is not understood:\n"
            "  /dev/stdin: document: no Kubernetes resource: it has no apiVersion and no kind\n"
            "the manifests start no images\n"
        ),
    )
    assert run_on("a: [")[2].startswith("error: manifests: 1 mistake\n  /dev/stdin: line ")


def test_the_mistakes_of_all_files_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (
        "kind: Deployment\nmetadata: {name: web, namespace: shop}\n"
        "spec: {template: {spec: {containers: [{image: '{{ .Values.image }}'}, {image: 7}]}}}\n"
    )
    first, second = manifest(tmp_path, text, "1.yaml"), manifest(tmp_path, "a: [", "2.yaml")
    assert run(["find-images", str(first), str(second)]) == 3
    out, err = capsys.readouterr()
    place = "Deployment shop/web: spec.template.spec.containers"
    assert out == ""
    assert err.splitlines() == [
        "error: manifests: 3 mistakes",
        (
            f"  {first}: {place}[0].image: '{{{{ .Values.image }}}}' is not an image reference "
            "(like registry.example.com/team/app:1.0)"
        ),
        "    hint: this is a Helm template: `helm template NAME CHART` renders it",
        f"  {first}: {place}[1].image: a number is not an image reference",
        f"  {second}: line 2, column 1: not YAML: did not find expected node content",
    ]


HIDDEN = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: config}
data:
  pod.yaml: |
    apiVersion: v1
    kind: Pod
    spec:
      containers:
      - image: x.io/helper:1
        args: [--sidecar-image=x.io/in-embedded-args:1]
  quoted.json: '{"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"image": "q:1"}]}}'
  broken.yaml: "apiVersion: v1\\nkind: Pod\\nx: {{ .Values.x }}\\nimage: x.io/in-broken:1"
  settings.ini: |
    # the sandbox
    default_image = x.io/in-ini:1
    url = https://x.io/no/image:1
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: manager, annotations: {sidecar.x.io/image: "x.io/in-annotation:1"}}
spec:
  template:
    metadata: {labels: {image: x.io/in-label:1}}
    spec:
      containers:
      - image: x.io/manager:1
        command: [manager, --engine-image, longhornio/in-args:v1, --helper-image=busybox]
        args: ["docker://x.io/in-scheme:1", "--taint=node-role.kubernetes.io/master:NoSchedule"]
        env:
        - {name: ATTACHER_IMAGE, value: "in-env:1"}
        - {name: SELF, value: "x.io/manager:1"}
        - {name: ADDRESS, value: "monitoring/grafana:3000"}
        imagePullPolicy: Always
---
apiVersion: x.io/v1
kind: Store
metadata: {name: s}
spec:
  version: {image: in-cr}
  agent: {registry: x.io, repository: in/split, tag: 7}
  pinned: {image: {name: x.io/in-name, digest: "sha256:DIGEST"}}
  images: ["x.io/in-list:1"]
  driver: {imageName: x.io/in-name-field, logo: {image: logo.png}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
spec: {default: "x.io/in-schema:1"}
""".replace("DIGEST", "a" * 64)
CONTAINER = "spec.containers[0]"
TEMPLATE = f"spec.template.{CONTAINER}"
MENTIONED = {
    "x.io/in-embedded-args:1": (11, "ConfigMap config", f"data.pod.yaml: Pod: {CONTAINER}.args[0]"),
    "x.io/in-broken:1": (13, "ConfigMap config", "data.broken.yaml"),
    "x.io/in-ini:1": (16, "ConfigMap config", "data.settings.ini"),
    "x.io/in-annotation:1": (21, "Deployment manager", "metadata.annotations.sidecar.x.io/image"),
    "longhornio/in-args:v1": (28, "Deployment manager", f"{TEMPLATE}.command[2]"),
    "busybox": (28, "Deployment manager", f"{TEMPLATE}.command[3]"),
    "x.io/in-scheme:1": (29, "Deployment manager", f"{TEMPLATE}.args[0]"),
    "in-env:1": (31, "Deployment manager", f"{TEMPLATE}.env[0].value"),
    "in-cr": (40, "Store s", "spec.version.image"),
    "x.io/in/split:7": (41, "Store s", "spec.agent.repository"),
    f"x.io/in-name@sha256:{'a' * 64}": (42, "Store s", "spec.pinned.image.name"),
    "x.io/in-list:1": (43, "Store s", "spec.images[0]"),
    "x.io/in-name-field": (44, "Store s", "spec.driver.imageName"),
}  # fmt: skip


def test_what_stands_in_no_pod_spec_is_pointed_out_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = manifest(tmp_path, HIDDEN)
    assert started(path) == ["x.io/helper:1", "q:1", "x.io/manager:1"]
    assert run(["find-images", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {
        one["image"]: (one["line"], one["resource"], one["path"]) for one in told["mentioned"]
    } == MENTIONED
    assert told["extra"]["images"] == sorted(MENTIONED)
    assert [(one["image"], one["line"]) for one in told["images"]] == [
        ("x.io/helper:1", 10), ("q:1", 12), ("x.io/manager:1", 27),
    ]  # fmt: skip
    assert told["files"] == [
        {
            "file": str(path),
            "documents": {
                "ConfigMap": 1, "CustomResourceDefinition": 1, "Deployment": 1, "Store": 1
            },
        }
    ]  # fmt: skip
    assert [(one["where"], one["what"]) for one in told["notUnderstood"]] == [
        (
            "ConfigMap config: data.broken.yaml",
            "a manifest that cannot be read: line 3: a key must be plain text",
        ),
        ("Store s", "a custom resource: what else it has started is known to its operator"),
        (
            "1 CustomResourceDefinition",
            "what is started for custom resources is known to their operators alone",
        ),
    ]


def test_lists_of_images_and_repositories_without_a_tag(tmp_path: Path) -> None:
    text = (
        "apiVersion: x.io/v1\nkind: Thing\nspec:\n"
        "  args: ['--images=a/b:1,c/d:2', --related, 'e/f:3 and g/h:4']\n"
        "  env: [{name: IMAGES, value: 'i:5, j:6'}, {name: RELATED_IMAGE_SHORT, value: k}]\n"
        "  helm: {image: {repository: l/m, tag: ''}, repository: n/o}\n"
    )
    (one,) = find_images.find([manifest(tmp_path, text)])
    mentioned = [image.text for image in one.mentioned]
    assert mentioned == ["a/b:1", "c/d:2", "i:5", "j:6", "k", "l/m"]


def test_fields_of_a_document_in_a_string(tmp_path: Path) -> None:
    """Charts' values and operators' settings lie in ConfigMaps so."""
    text = (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n"
        '  values.json: \'{"sidecar": {"repository": "quay.io/x/sidecar", "tag": "v2"}}\'\n'
        "  operator.yaml: |\n    # settings\n    proxy:\n      registry: ghcr.io\n"
        '      repository: x/proxy\n      tag: "1.2"\n'
        "  no.yaml: |\n    repository: [a\n    tag: b\n"
        "  template: |\n    repository: {{ .repository }}\n    tag: v1\n"
    )
    (one,) = find_images.find([manifest(tmp_path, text)])
    assert [(image.text, image.place.path, image.place.line) for image in one.mentioned] == [
        ("quay.io/x/sidecar:v2", "data.values.json", 5),
        ("ghcr.io/x/proxy:1.2", "data.operator.yaml", 10),
    ]


def test_what_a_typed_list_has_is_of_its_kind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pods = "apiVersion: v1\nkind: PodList\nitems:\n- spec: {containers: [{image: a:1}]}\n"
    kept = "---\napiVersion: v1\nkind: SecretList\nitems:\n- stringData: {image: quay.io/s/t:1}\n"
    bare = "---\napiVersion: v1\nkind: List\nitems:\n- metadata: {name: x}\n"
    assert run(["find-images", str(manifest(tmp_path, pods + kept))]) == 0
    said = "looked into 2 documents of 1 file: 1 Pod, 1 Secret\n"
    assert capsys.readouterr() == ("a:1\n", said)
    assert run(["find-images", str(manifest(tmp_path, pods + bare))]) == 0
    assert "items[0]: document x: no Kubernetes resource" in capsys.readouterr().err


def test_of_a_secret_only_manifests_are_looked_into(tmp_path: Path) -> None:
    pod = POD.replace("a:1", "x.io/a:1")
    text = (
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n"
        f"data: {{pod: {base64.b64encode(pod.encode()).decode()}, odd: '\xe9', none: null}}\n"
        "stringData: {image: 'admin/app:hunter2', dsn: 'db.lan:1/app:hunter3'}\n"
    )
    (one,) = find_images.find([manifest(tmp_path, text)])
    assert [(image.text, image.place.path) for image in one.mentioned] == [("x.io/a:1", "data.pod")]


def test_a_person_is_told_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = manifest(tmp_path, HIDDEN)
    assert run(["find-images", str(path)]) == 0
    out, err = capsys.readouterr()
    assert out == "q:1\nx.io/helper:1\nx.io/manager:1\n"
    for name, (line, resource, place) in MENTIONED.items():
        assert f"  {path}:{line}: {resource}: {place}: {name}\n" in err
        assert f"\n    - {name}\n" in err
    assert yaml.safe_load(err[err.index("extra:") : err.rindex("warning:")]) == {
        "extra": {"images": sorted(MENTIONED)}
    }


def test_folders_and_bundles(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pod = "apiVersion: v1\nkind: Pod\nspec: {containers: [{image: a/b}]}\n"
    manifest(tmp_path, pod, "b.yml")
    manifest(tmp_path, "no manifest: {{", "README.md")
    assert started(tmp_path) == ["a/b"]
    bundle = tmp_path / "bundle.tar"
    bundle.write_bytes(README_PATH.encode().ljust(257, b"\0") + b"ustar" + bytes(40 << 20))
    assert run(["find-images", str(bundle)]) == 3
    assert capsys.readouterr().err.splitlines()[1:] == [
        f"  {bundle}: this is a bundle, not a document",
        "    hint: airseed inspect shows what is inside",
    ]
    (tmp_path / "empty").mkdir()
    assert run(["find-images", str(tmp_path / "empty")]) == 3
    assert "there is no manifest in this folder" in capsys.readouterr().err
    assert run(["find-images", "/proc/self/mem"]) == 3  # as a disk that can't be read any more
    assert capsys.readouterr().err.splitlines()[1:] == ["  /proc/self/mem: input/output error"]


FLOW = "apiVersion: v1, kind: Pod, spec: {containers: [{image: 'a:1'}]}"
OBJECT = '{"apiVersion": "v1", "kind": "ConfigMap"}'


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (f"{{{FLOW}}}\n", "line 1, column 2: "),
        (f"\n  {{{FLOW}}}\n", "line 2, column 4: "),
        (f"\ufeff{{{FLOW}}}\n", "line 1, column 2: "),
        (f"{OBJECT}\n---\n{OBJECT}\n", "line 2, column 1: "),
        (f"{OBJECT}\n---\n{FLOW.replace(', ', chr(10), 2)}\n", "line 2, column 1: "),
        (f"{OBJECT} # as YAML has them\n", "line 1, column 43: "),
        (OBJECT.replace('"}', '",}'), "line 1, column 4"),
        (OBJECT.replace('"', "'"), "line 1, column 2: "),
        (OBJECT.replace("}", ', "data": {"a": NaN}}'), "NaN is no number"),
    ],
)
def test_what_kubectl_takes_for_json_is_json(text: str, what: str, tmp_path: Path) -> None:
    path = manifest(tmp_path, text)
    with pytest.raises(DocumentError) as caught:
        find_images.find([path])
    (fault,) = caught.value.faults
    assert what in str(fault)
    assert "kubectl and kubelet read what begins with { as JSON, and this is none: " in str(fault)
    assert fault.hint == "write --- alone into a first line, and it is read as YAML"
    if "NaN" not in text:
        bare = text.removeprefix("\ufeff")
        (found,) = find_images.find([manifest(tmp_path, f"---\n{bare}")])
        assert {resource.kind for resource in found.resources} <= {"Pod", "ConfigMap"}


def test_json_objects_may_stand_on_one_line(tmp_path: Path) -> None:
    text = OBJECT.replace("}", ', "data": {"a": "} {b:2"}}')
    (found,) = find_images.find([manifest(tmp_path, f"{text}{text} \t{text}\r\n{text}")])
    assert [resource.kind for resource in found.resources] == ["ConfigMap"] * 4


def test_json_has_more_than_yaml_knows(tmp_path: Path) -> None:
    data = (
        '{"smile": "\\ud83d\\ude00", "half": "\\ud83d!", "slash": "\\/", "": "\x7f\\u0000",'
        f'"tab"\n\t:\t"\U0001f600", "{"k" * 2000}": 1e3}}'
    )
    image = '"spec": {"containers": [{"image": "\\u0061:1"}, {"image": "b:2"}]}'
    text = f'{{"apiVersion": "v1", "kind": "Pod", "data": {data},\n\n{image}}}'
    (read,) = yaml_documents(text, "x", manifest=True, applied=True)
    assert [*read.value["data"].items()] == [
        ("smile", "\U0001f600"), ("half", "\ufffd!"), ("slash", "/"), ("", "\x7f\0"),
        ("tab", "\U0001f600"), ("k" * 2000, "1e3"),
    ]  # fmt: skip
    (found,) = find_images.find([manifest(tmp_path, text)])
    first, second = found.images
    assert (first.text, second.text, second.place.line) == ("a:1", "b:2", 4)
    assert isinstance(second.text, Scalar)
    assert text[second.text.start : second.text.end] == '"b:2"'


@pytest.mark.parametrize(
    ("name", "text", "what", "hint"),
    [
        ("x.yaml", '{"a": [}\n', "line 1, column 8: not JSON: Expecting value", None),
        ("x.yaml", '{\n\t"a": 1,\n\t"b" 2\n}\n', "line 3, column 6: not JSON: Expecting ':'", None),
        ("x.json", '["a": 1\n', "line 1, column 5: not JSON: Expecting ',' delimiter", None),
        ("x.json", "<html>: [\n", "line 1, column 1: not JSON: Expecting value", "a web page"),
        ("x.yaml", "a: [}\n", "line 1, column 5: not YAML: ", None),
        ("x.yaml", "{{ if .x }}\na: [\n", "a key must be plain text", "this is a Helm template"),
    ],
)
def test_what_is_broken_is_called_what_it_is_to_be(
    name: str, text: str, what: str, hint: str | None, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_text(text, "utf-8")
    with pytest.raises(DocumentError) as caught:
        find_images.find([path])
    (fault,) = caught.value.faults
    assert what in str(fault)
    assert hint is None if fault.hint is None else (hint or "nothing") in fault.hint


def test_a_manifest_is_read_as_json_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    check = json_events.check

    def counted(text: str) -> tuple[str, int, int]:
        read.append(text)
        return check(text)

    monkeypatch.setattr(json_events, "check", counted)
    find_images.find([manifest(tmp_path, OBJECT)])
    assert read == [OBJECT]


SPELLINGS = {
    "JSON, one after the other": (
        '{"apiVersion": "v1", "kind": "Pod", "spec": {\n"containers": [{"image": "a:1"}]\n}\n}\n'
        '{"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"image": "b:1"}]}}\r\n'
        '{"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"image": "c:1"}]}}\n'
    ),
    "Windows": (
        "\ufeffkind: Pod\r\nspec:\r\n  containers:\r\n  - image: a:1\r\n---\r\n"
        "spec: {containers: [{image: 'b:1'}, {image: \"c:1\"}]}\r\n...\r\n"
    ),
    "marks and comments": (
        "%YAML 1.1\n# one\n--- # two\nspec: {containers: [{image: a:1}]}\n---\n\n--- \n"
        "...\n---\nspec: {containers: [{image: b:1}, {image: c:1}]}\n---\n"
    ),
    "tags": (
        "spec: {x: !!int '7', y: !!binary aGk=, z: !!timestamp 2020-01-01, on: yes, containers: "
        "[{image: !!str a:1}, {image: ! 'b:1'}, {image: !<tag:yaml.org,2002:str> c:1}]}\n"
    ),
}


def test_a_bare_name_in_a_pod_template_that_is_a_string(tmp_path: Path) -> None:
    """A provisioner makes a pod of it; a word in the middle of a line may be anything."""
    text = (
        "kind: ConfigMap\napiVersion: v1\nmetadata: {name: c}\n"
        "data:\n  note: 'image: nginx is one'\n  pod: |\n    spec:\n      containers:\n"
        "      - name: a\n        image: busybox\n        imagePullPolicy: IfNotPresent\n"
        "      - image: 'alpine'\n        name: b\n"
    )
    (one,) = find_images.find([manifest(tmp_path, text)])
    assert [(image.text, image.place.path, image.place.line) for image in one.mentioned] == [
        ("busybox", "data.pod", 10),
        ("alpine", "data.pod", 12),
    ]


@pytest.mark.parametrize("how", SPELLINGS)
def test_spellings(how: str, tmp_path: Path) -> None:
    assert started(manifest(tmp_path, SPELLINGS[how])) == ["a:1", "b:1", "c:1"]


def test_what_aliases_repeat_is_pointed_out_once(tmp_path: Path) -> None:
    """A short file may otherwise become a million lines."""
    text = "a0: &a0 [x.io/a:1]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 6)
    )
    (found,) = find_images.find([manifest(tmp_path, text)])
    assert [image.place.path for image in found.mentioned] == ["a0[0]"]


def test_long_texts_are_not_repeated_without_bound(tmp_path: Path) -> None:
    text = f"a: &a '{'x' * 400_000}'\nb: [{', '.join(['*a'] * 200)}]\n"
    with pytest.raises(DocumentError, match="1 mistake") as caught:
        find_images.find([manifest(tmp_path, text)])
    assert "grows without bound through its aliases" in str(caught.value.faults[0])


POD = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: a:1\n"
HELM = "this is a Helm template: `helm template NAME CHART` renders it"


@pytest.mark.parametrize(
    ("content", "what", "hint"),
    [
        (POD.encode("utf-16"), "UTF-16, not UTF-8 text", "iconv -f UTF-16 -t"),
        (POD.encode("utf-16-be"), "UTF-16, not UTF-8 text", "iconv -f UTF-16BE -t"),
        (POD.encode("utf-16-le"), "UTF-16, not UTF-8 text", "iconv -f UTF-16LE -t"),
        (POD.encode("utf-32"), "UTF-32, not UTF-8 text", "iconv -f UTF-32 -t"),
        (f"# Gr\xfc\xdfe\n{POD}".encode("latin-1"), "byte 4 (line 1) is not", "WINDOWS-1252"),
        (gzip.compress(POD.encode(), mtime=0), "compressed with gzip, not text", "unpack it first"),
        (f"{POD}---\n\ufeff{POD}".encode(), "line 7: not YAML: a byte order mark inside",
         "sed -i"),
        (f"{POD}    tag: {{{{ .Values.tag }}}}\n".encode(), "line 6: a key must be plain", HELM),
        (f"{{{{- if .Values.x }}}}\n{POD}{{{{- end }}}}\n".encode(), "line 1: a key must", HELM),
        (f"{POD}{{{{ include `x` . }}}}\n".encode(), "not YAML: ", HELM),
        (f"{POD}  - image: '{{{{ nginx }}}}'\n".encode(), "is not an image", "(Ansible, Jinja)"),
        (f"{POD}    tag: {{{{ nginx_tag }}}}\n".encode(), "line 6: a key must", "(Ansible, Jinja)"),
        (f"{{% for x in all %}}\n{POD}".encode(), "not YAML: ", "(Ansible, Jinja)"),
        (f"NAME: a\nLAST DEPLOYED: Tue Dec  1\nNOTES:\nIt runs\n1. a: b\n{POD}".encode(),
         "not YAML: ", "`helm get manifest NAME`"),
        (f"```yaml\n{POD}```\n".encode(), "cannot start any token", "which are Markdown's"),
        (f"\x1b[1m{POD}".encode(), "unacceptable character #x001b", "NO_COLOR=1"),
        (f"{POD}  - image: $TAG:1\n".encode(), "spec.containers[1].image: '$TAG:1' is", "envsubst"),
        (f"{POD}kind: Pod\n".encode(), "line 6: the key 'kind' appears twice", "keep one"),
        (f"{POD}<<<<<<< HEAD\n".encode(), "a conflict that git left", ""),
        (f"{POD}  - image: %TAG%\n".encode(), "cannot start any token", "quote the value; if it"),
        (f"{POD}  - image: |\n      b:1\n".encode(), "'b:1\\n' has no valid tag", "white space"),
        (f"{POD}  - image: docker://b:1\n".encode(), "no valid registry host", "scheme: b:1"),
        (f"{POD}\tx: 1\n".encode(), "a tab; YAML is indented with spaces", ""),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told_in_words_that_help(
    content: bytes, what: str, hint: str, tmp_path: Path
) -> None:
    path = tmp_path / "m.yaml"
    path.write_bytes(content)
    with pytest.raises(DocumentError) as caught:
        find_images.find([path])
    (fault,) = caught.value.faults
    assert what in str(fault)
    assert hint in (fault.hint or "")


def test_what_helm_prints_below_a_manifest_is_pointed_out(tmp_path: Path) -> None:
    """YAML as it is, and refused by kubectl."""
    (found,) = find_images.find([manifest(tmp_path, f"{POD}NOTES:\n  1. Get the URL\n")])
    (fault,) = found.not_understood
    assert "kubectl refuses it" in fault.what
    assert "`helm get manifest NAME`" in (fault.hint or "")


def test_the_defaults_of_a_schema_are_pointed_out(tmp_path: Path) -> None:
    """The API server fills them in, and an operator starts them."""
    text = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: stores.example.test}
spec:
  versions:
  - schema:
      openAPIV3Schema:
        description: such as kept.lan/no/default:1
        properties:
          image:
            default: quay.io/team/store:1.2
          sidecar:
            properties:
              imageName: {type: string, default: team/sidecar:3}
          mode: {type: string, default: a/b}
          parts:
            default: {backup: {repository: quay.io/team/backup, tag: v2}}
"""
    (found,) = find_images.find([manifest(tmp_path, text)])
    schema = "spec.versions[0].schema.openAPIV3Schema.properties"
    assert [(image.text, image.place.path, image.place.line) for image in found.mentioned] == [
        ("quay.io/team/store:1.2", f"{schema}.image.default", 11),
        ("team/sidecar:3", f"{schema}.sidecar.properties.imageName.default", 14),
        ("quay.io/team/backup:v2", f"{schema}.parts.default.backup.repository", 17),
    ]
    assert found.images == ()

"""``airseed find-images``: every image that a manifest starts, wherever its pod spec lies."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from builder.cli.root import run
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


@pytest.mark.parametrize("kind", TEMPLATED)
def test_workloads_with_a_template(kind: str, tmp_path: Path) -> None:
    place = "template" if kind == "PodTemplate" else "spec: {template"
    end = "" if kind == "PodTemplate" else "}"
    text = (
        f"apiVersion: v1\nkind: {kind}\nmetadata: {{name: x}}\n{place}: {{spec: {{"
        "initContainers: [{image: 'a/init:1'}], containers: [{image: 'a/main:1'}], "
        f"ephemeralContainers: [{{image: 'a/debug:1'}}]}}}}{end}\n"
    )
    assert find_images.find([manifest(tmp_path, text)]) == ("a/debug:1", "a/init:1", "a/main:1")


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
    assert find_images.find([manifest(tmp_path, NESTED[how])]) == ("a:1",)


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
    assert find_images.find([manifest(tmp_path, STARTS_NOTHING[what])]) == ()


def test_one_reference_a_line_once_sorted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pod = "kind: Pod\nspec: {{containers: [{{image: '{}'}}, {{image: '{}'}}]}}\n"
    first = manifest(tmp_path, pod.format("nginx:1.25", "k8s.gcr.io/pause:3.2"), "1.yaml")
    second = manifest(tmp_path, pod.format("k8s.gcr.io/pause:3.2", f"b@sha256:{'a' * 64}"), "2.yml")
    assert run(["find-images", str(first), str(second)]) == 0
    assert capsys.readouterr() == (
        f"b@sha256:{'a' * 64}\nk8s.gcr.io/pause:3.2\nnginx:1.25\n",
        "",
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

    assert run_on("kind: Pod\nspec: {containers: [{image: a/b}]}\n") == (0, "a/b\n", "")
    assert run_on("just words\n") == (0, "", "the manifests start no images\n")
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
        "    hint: fill in placeholders first",
        f"  {first}: {place}[1].image: a number is not an image reference",
        f"  {second}: line 2, column 1: not YAML: did not find expected node content",
    ]

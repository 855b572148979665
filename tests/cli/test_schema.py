"""``airseed schema`` and what ``airseed init`` writes, as users and their editors get them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import yaml

from builder.assets import tree
from builder.cli.root import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

EXAMPLES = ("single", "ha", "hardened")


def schema(capsys: pytest.CaptureFixture[str]) -> tuple[str, dict[str, Any]]:
    assert run(["schema"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    value: dict[str, Any] = json.loads(out)
    return out, value


def test_the_schema(golden: Callable[[str, str], None], capsys: pytest.CaptureFixture[str]) -> None:
    text, value = schema(capsys)
    jsonschema.Draft202012Validator.check_schema(value)
    golden("cluster.schema.json", text)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, value = schema(capsys)
    target = tmp_path / "cluster.yaml"
    assert run(["init", "--example", name, str(target)]) == 0
    assert capsys.readouterr() == ("", f"wrote {target}; next: airseed lock {target}\n")
    text = target.read_text("utf-8")
    assert text == (tree("mirrors") / f"examples/{name}.yaml").read_text("utf-8")
    jsonschema.Draft202012Validator(value).validate(yaml.safe_load(text))
    assert run(["init", "--example", name, str(target)]) == 2
    assert capsys.readouterr().err == (
        f"error: {target}: the file exists\n  hint: --force replaces it\n"
    )
    assert run(["init", "-q", "--example", name, str(target), "--force"]) == 0


def test_a_name_that_ends_in_a_slash_is_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["init", f"{tmp_path}/new/"]) == 0
    target = tmp_path / "new/cluster.yaml"
    assert capsys.readouterr().err == f"wrote {target}; next: airseed lock {target}\n"
    assert {path.name for path in target.parent.iterdir()} == {target.name, "cluster.schema.json"}


def test_the_usual_example_is_the_single_one(tmp_path: Path) -> None:
    assert run(["init", "-q", str(tmp_path / "a.yaml")]) == 0
    assert run(["init", "-q", "--example", "single", str(tmp_path / "b.yaml")]) == 0
    assert (tmp_path / "a.yaml").read_bytes() == (tmp_path / "b.yaml").read_bytes()

"""Bills of materials against SPDX's own JSON Schema; CycloneDX's comes with its Python library."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from interop.programs import TOOLS

if TYPE_CHECKING:
    from sandboxes import Sample, Sandbox

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def schema() -> jsonschema.Draft7Validator:
    path = TOOLS / "spdx-schema-2.3.json"
    assert path.is_file(), "the schema is not there: tests/interop/setup.sh"
    return jsonschema.Draft7Validator(json.loads(path.read_text("utf-8")))


def test_spdx(sandbox: Sandbox, sample: Sample, schema: jsonschema.Draft7Validator) -> None:
    ran = sandbox.run("inspect", str(sample.bundle), "--sbom", "spdx")
    assert ran.code == 0
    bill: dict[str, Any] = json.loads(ran.out)
    assert list(schema.iter_errors(bill)) == []
    del bill["packages"][1]["SPDXID"]
    assert [error.message for error in schema.iter_errors(bill)] == [
        "'SPDXID' is a required property"
    ]

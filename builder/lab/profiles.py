"""Read the lab's own data: how registries behave."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from builder.formats.text import read_text, yaml_document
from builder.lab.registry import RegistryProfile

DATA = Path(__file__).parent / "data"


@cache
def read_data(name: str) -> Any:
    """Read a YAML file of the lab; nobody may change what this gives."""
    path = DATA / name
    return yaml_document(read_text(path), name).value


def read_profiles() -> list[RegistryProfile]:
    entries = read_data("registries.yaml")["registries"]
    return [RegistryProfile(**{"content": entry["host"], **entry}) for entry in entries]

"""docs/cluster.md: made of the table of keys, as ``airseed explain`` is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from builder.cli.root import VERBS, run
from builder.errors import AirseedError, UsageError
from builder.formats import catalog, cluster
from builder.formats.cluster import explain
from builder.model.demand import demand
from builder.model.fingerprint import fingerprint

if TYPE_CHECKING:
    from builder.formats.cluster.explain import KeyHelp

PAGE = Path(__file__).parents[2] / "docs/cluster.md"
SMALL = {
    "kubernetes": "1.18.5",
    "endpoint": "k8s.example.com",
    "nodes": [
        {"name": "k8s01", "role": "control-plane", "address": "10.211.55.48"},
        {"name": "k8s02", "role": "worker", "address": "10.211.55.49"},
    ],
}
WHOLE = explain.tree()
ENTRIES = list(explain.walk(WHOLE))
HEAD = """\
# cluster.yaml

Made of the table that the reader has, by `make golden`: do not edit it here. `airseed explain KEY`
prints the same, `airseed init --example ha` writes a file with comments, and `airseed schema` the
JSON Schema for editors.

Every key is optional but those marked with \\*. A value that is left empty counts as left out. A
number may be given where text is expected: `version: 7.6` needs no quotes. Where a list is of
mappings, the keys are those of each item.
"""
COLUMNS = ("key", "meaning", "value", "default", "example", "read by")


def page() -> str:
    """Render docs/cluster.md."""
    mappings = [entry for entry in explain.walk(WHOLE, repeats=False) if entry.keys]
    parts = [HEAD, table(WHOLE), *(section(entry) for entry in mappings if not entry.same_as)]
    return "\n".join(parts)


def section(entry: KeyHelp) -> str:
    examples = "".join(
        "\n" + "".join(f"    {line}\n" for line in text.splitlines())
        for text in explain.examples(entry)
    )
    others = explain.find(entry.path).also_at
    also = f" Also at {', '.join(f'`{path}`' for path in others)}." if others else ""
    level = "#" * min(entry.path.count(".") + 2, 4)
    return f"{level} {entry.path}\n\n{plain(entry.doc)}{also}\n{examples}\n{table(entry)}"


def table(entry: KeyHelp) -> str:
    rows = [COLUMNS, ("---",) * len(COLUMNS), *(row(key) for key in entry.keys)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


def row(entry: KeyHelp) -> tuple[str, ...]:
    name = entry.path.rpartition(".")[2]
    first = entry.same_as or entry.path
    link = f"[`{name}`](#{re.sub('[^a-z0-9-]', '', first.lower())})" if entry.keys else f"`{name}`"
    inline = "" if entry.keys else "<br>".join(f"`{short(value)}`" for value in entry.examples)
    default = f"`{entry.default}`" if entry.default else ""
    return (
        rf"{link} \*" if entry.required else link,
        plain(entry.doc),
        plain(f"{entry.type}: {entry.values}" if entry.values else entry.type),
        default,
        inline,
        ", ".join(entry.verbs),
    )


def plain(text: str) -> str:
    """Return a text in which Markdown finds no emphasis, cells or tags."""
    return re.sub(r"([*|<])", r"\\\1", text)


def short(value: object) -> str:
    """Return an example on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000)
    return text.removesuffix("...\n").strip()


def test_the_page_has_what_the_table_has(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--golden"):
        PAGE.write_text(page(), encoding="utf-8")
    assert page() == PAGE.read_text("utf-8"), "read the difference, then: make golden"


def test_every_key_says_what_it_is() -> None:
    assert [entry.path for entry in ENTRIES if not (entry.title and entry.doc)] == []
    assert [entry.path for entry in ENTRIES if not entry.examples] == []
    assert {verb for entry in ENTRIES for verb in entry.verbs} <= set(VERBS)
    assert [entry.path for entry in ENTRIES if not entry.verbs] == []


def test_no_text_says_another_default_than_the_reader_takes() -> None:
    """``explain`` takes the sentence away where it is the default of the table."""
    left = {entry.path: entry.doc for entry in ENTRIES if "Default:" in entry.doc}
    assert set(left) == {path for path in left if path.endswith("network.version")}


def test_a_key_that_changes_what_is_locked_says_that_lock_reads_it() -> None:
    """Set each key to each of its examples, as far as it may be set alone."""
    known = catalog.load()

    def asked(document: dict[str, Any]) -> tuple[object, ...]:
        read = cluster.read(json.dumps(document), "cluster.yaml", catalog=known)
        asking = demand(read.cluster, read.choice, known)
        named = (read.cluster.name, read.cluster.platforms, read.cluster.image_platforms)
        return fingerprint(asking), named

    tried = 0
    for entry in ENTRIES:
        *parents, last = entry.path.split(".")
        for example in entry.examples:
            document = json.loads(json.dumps(SMALL))
            at = document
            for parent in parents:
                at = at.setdefault(parent, {})
                at = at[0] if isinstance(at, list) else at
                at = at if isinstance(at, dict) else {}
            at[last] = example
            try:
                changed = asked(document) != asked(SMALL)
            except AirseedError:
                continue
            tried += 1
            assert not changed or "lock" in entry.verbs, entry.path
    assert tried > len(ENTRIES) / 3


EXPLAINED = """\
KEY       machine.network.bond
          Several network cards used as one.
TYPE      mapping
READ BY   seeds
ALSO AT   machine.network.cards.bond, roles.control-plane.machine.network.bond,
          roles.control-plane.machine.network.cards.bond,
          roles.worker.machine.network.bond,
          roles.worker.machine.network.cards.bond, nodes.machine.network.bond,
          nodes.machine.network.cards.bond

EXAMPLE
  bond:
    interfaces: [eth0, eth1]
    mode: 802.3ad

KEYS
  interfaces *  The cards that make it up, by their kernel names.
  name          Its name.
  mode          How traffic is spread.
  options       Options of the kernel's bonding driver. miimon is 100 unless one
                of miimon and arp_interval is given.

* is required
"""


def test_explain(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "machine.network.bond"]) == 0
    assert capsys.readouterr() == (EXPLAINED, "")


def test_explain_takes_a_path_as_messages_write_it() -> None:
    assert explain.find("nodes[2].address") == explain.find("nodes.address")


def test_explain_fits_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    for entry in (WHOLE, *ENTRIES):
        assert run(["explain", entry.path]) == 0
        out = capsys.readouterr().out
        assert [line for line in out.splitlines() if len(line) > 80] == []
        assert all(f"\n  {key.path.rpartition('.')[2]} " in out for key in entry.keys)


def test_explain_for_scripts(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "seed.window", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "key": "seed.window",
        "title": "Window",
        "description": "Hours in which nodes may join after the first one.",
        "type": "number",
        "values": "1 to 720",
        "required": False,
        "default": "24",
        "examples": [24],
        "readBy": ["secrets", "seeds"],
        "sameAs": None,
        "alsoAt": [],
        "keys": [],
    }


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("bond", "did you mean 'machine.network.bond' or 'machine.network.cards.bond'?"),
        ("password", "did you mean 'machine.users.password'?"),
        ("machine.sha256", "did you mean 'extra.files.sha256' or 'extra.manifests.sha256'?"),
        ("nodes.adress", "did you mean 'nodes.address'?"),
        ("zzz", "airseed explain lists the keys"),
    ],
)
def test_an_unknown_key_gets_close_ones(key: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        explain.find(key)
    assert str(caught.value) == f"cluster.yaml has no key {key!r}"
    assert caught.value.hint == hint

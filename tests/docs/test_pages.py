"""README and docs/: short where they must be, true to the code where they list something."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from click import Context

from builder import errors
from builder.cli import changes, failure, verify
from builder.cli.root import EXIT_CODES, VERBS, root

if TYPE_CHECKING:
    from sandboxes import Sample, Sandbox

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
README = ROOT / "README.md"
MOST_LINES, LONGEST_LINE = 90, 120


def section(path: Path, title: str) -> str:
    """Return what is between a heading and the next one of its level."""
    found = re.search(
        rf"^## {title}\n(.*?)(?=^## |\Z)", path.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    assert found, f"{path} has no section {title!r}"
    return found[1]


def rows(text: str) -> list[list[str]]:
    """Return the cells of every row of a table, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def test_the_readme_fits_one_screen() -> None:
    lines = README.read_text("utf-8").splitlines()
    assert len(lines) <= MOST_LINES
    assert [line for line in lines if len(line) > LONGEST_LINE] == []


def test_the_design_is_wrapped() -> None:
    lines = (ROOT / "DESIGN.md").read_text("utf-8").splitlines()
    assert [line for line in lines if len(line) > LONGEST_LINE] == []


@pytest.mark.parametrize(
    ("path", "title"),
    [(README, "Verbs"), (ROOT / "docs/verbs.md", "Each verb")],
    ids=["README", "docs"],
)
def test_the_tables_of_verbs_have_what_the_command_line_has(path: Path, title: str) -> None:
    named = [name for row in rows(section(path, title)) for name in re.findall("`(.+?)`", row[0])]
    assert sorted(named) == sorted(VERBS)


def test_each_verb_is_on_one_side_of_the_gap() -> None:
    table = rows(section(ROOT / "docs/install.md", "Which verb runs on which side"))
    named = [name for row in table for name in re.findall("`(.+?)`", row[1])]
    assert sorted(named) == sorted(VERBS)


def test_the_exit_codes_are_those_of_the_code() -> None:
    table = {int(row[0]): row[1] for row in rows(section(ROOT / "docs/verbs.md", "Exit codes"))}
    leaves = {error.exit_code for error in vars(errors).values() if hasattr(error, "exit_code")}
    assert set(table) == {
        0,
        *leaves,
        verify.UNPROVED,
        changes.SOMETHING,
        failure.BUG,
        failure.INTERRUPTED,
    }
    in_help = dict(re.findall(r"^  ([0-9]+) +(.+)$", EXIT_CODES, re.MULTILINE))
    for code, meaning in in_help.items():
        assert table[int(code)].startswith(meaning)
    helped = {
        int(row[0]) for row in rows(section(ROOT / "docs/troubleshooting.md", "By exit code"))
    }
    assert helped == set(table) - {0}


def test_what_json_has_is_what_the_page_says(sandbox: Sandbox, sample: Sample) -> None:
    table: dict[str, set[str]] = {}
    for verbs, keys in rows(section(ROOT / "docs/verbs.md", "Results for scripts")):
        named = {*re.findall("`(.+?)`", keys.partition(";")[0])}
        table |= dict.fromkeys(re.findall(r"`([a-z-]+)`", verbs), named)
    commands = {name: root.get_command(Context(root), name) for name in VERBS}
    assert set(table) == {
        name
        for name, command in commands.items()
        if command and any("--json" in param.opts for param in command.params)
    }
    (sandbox.folder / "bundle.tar").symlink_to(sample.bundle)
    (sandbox.folder / "pod.yaml").write_text("kind: Pod\napiVersion: v1\nspec: {}\n", "utf-8")
    catalog = f"--catalog={sandbox.catalog}"
    for line in (
        *("lock", "verify", "inspect", "export --keys-only", "inventory bundle.tar", "secrets"),
        *("seeds", "changes", "kubeconfig", "versions", "find-images pod.yaml", "explain"),
        *("bundle bundle.tar -o again.tar", "packer"),
    ):
        verb, *words = line.split()
        words += [catalog] if verb in {"lock", "seeds", "changes", "packer"} else []
        ran = sandbox.run(verb, *words, "--json")
        assert set(json.loads(ran.out)) - {"error"} <= table[verb], line
        assert (set(json.loads(ran.out)) == table[verb]) == (ran.code == 0), ran.err


@pytest.mark.parametrize("path", [README, *PAGES], ids=lambda path: path.name)
def test_every_link_leads_to_a_file(path: Path) -> None:
    """Nobody else looks at the README; mkdocs checks the pages, their anchors too."""
    for link in re.findall(r"\]\(([^)]+)\)", path.read_text("utf-8")):
        target = urlsplit(link)
        if not target.scheme and target.path:
            assert (path.parent / target.path).is_file(), link


def test_contributing_names_files_that_are_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    paths = re.findall(r"`((?:builder|tests|mirrors|docs|cloudinit-templates)/[^`]*)`", text)
    missing = [path for path in paths if "NAME" not in path and not (ROOT / path).exists()]
    assert paths
    assert missing == []


def test_every_page_is_in_the_menu_and_in_the_index() -> None:
    menu = (ROOT / "mkdocs.yml").read_text("utf-8")
    index = (ROOT / "docs/index.md").read_text("utf-8")
    for page in PAGES:
        assert f": {page.name}\n" in menu
        assert page.name == "index.md" or f"({page.name})" in index


def test_the_steps_of_first_boot_are_those_of_its_plan() -> None:
    plan = (ROOT / "cloudinit-templates/node/plans/first-boot").read_text("utf-8").splitlines()
    table = rows(section(ROOT / "docs/first-boot.md", "What first boot changes on a machine"))
    assert [row[0] for row in table] == [line for line in plan if not line.startswith("#")]


def test_every_message_of_the_troubleshooting_is_one_that_is_said() -> None:
    files = [*(ROOT / "builder").rglob("*.py"), *(ROOT / "cloudinit-templates/node").rglob("*")]
    said = "\n".join(file.read_text("utf-8") for file in files if file.is_file())
    said = re.sub(r'"\s*\n\s*f?"', "", said)
    page = (ROOT / "docs/troubleshooting.md").read_text("utf-8").partition("## By message")[2]
    messages = [text for row in rows(page) for text in re.findall("`(.+?)`", row[0])]
    assert messages
    unsaid = [text for text in messages if not all(part in said for part in text.split("..."))]
    assert not unsaid, unsaid

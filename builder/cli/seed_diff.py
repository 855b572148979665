"""What another run of ``airseed seeds`` would change, as a plan to be reviewed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from builder.cli.amounts import quantity, size
from builder.pipeline.seed_diff import SEED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from builder.cli.console import Console
    from builder.pipeline.seed_diff import Action, FileDifference, SeedPart

_MARKS: Mapping[Action, str] = {"add": "+", "change": "~", "remove": "-"}
_COLORS = {"+": "green", "~": "yellow", "-": "red"}
_MOST = 20
"""Lines that are shown of one file."""


def show(changes: Sequence[FileDifference], console: Console) -> None:
    """Print what comes, goes and differs, by node and file, and how much that is."""
    shown: dict[tuple[str, ...], str] = {}
    for node, own in _by_node(changes).items():
        if node:
            _line(console, 0, f"{_MARKS[_of_node(own)]} {node}")
        for change in own:
            depth = 1 if node else 0
            _line(console, depth, f"{_MARKS[change.action]} {change.name}{_amount(change)}")
            for text in _inside(change, shown):
                _line(console, depth + 1, text)
    console.result("")
    nodes = [_of_node(own) for node, own in _by_node(changes).items() if node]
    files = [change.action for change in changes]
    console.prose(f"nodes: {_count(nodes)}; files: {_count(files)}")
    if any(change.action == "change" for change in changes):
        console.info("--full shows every line")


def value(changes: Sequence[FileDifference]) -> dict[str, Any]:
    return {
        "nodes": {node: _of_node(own) for node, own in _by_node(changes).items() if node},
        "files": [
            {
                "node": change.node or None,
                "name": change.name,
                "action": change.action,
                "parts": [
                    {
                        "path": part.path or None,
                        "action": part.action,
                        "script": part.is_script,
                        "before": part.before or None,
                        "after": part.after or None,
                    }
                    for part in change.parts()
                ],
            }
            for change in changes
        ],
        "diff": [line for change in changes for line in change.diff()],
    }


def _by_node(changes: Sequence[FileDifference]) -> dict[str, list[FileDifference]]:
    nodes: dict[str, list[FileDifference]] = {}
    for change in changes:
        nodes.setdefault(change.node, []).append(change)
    return nodes


def _of_node(own: Sequence[FileDifference]) -> Action:
    """Tell whether a node comes or differs: whoever has user-data has a seed."""
    return "add" if any(c.name == SEED and c.action == "add" for c in own) else "change"


def _count(actions: Sequence[Action]) -> str:
    return ", ".join(
        f"{actions.count(action)} to {action}" for action in ("add", "change", "remove")
    )


def _amount(change: FileDifference) -> str:
    return f" ({size(len(change.after))})" if change.action == "add" and change.after else ""


def _inside(change: FileDifference, shown: dict[tuple[str, ...], str]) -> Iterator[str]:
    """Yield the lines about one file; scripts that change alike on many nodes are listed once."""
    parts = change.parts()
    scripts = tuple(_script(part) for part in parts if part.is_script)
    if scripts and scripts in shown:
        yield f"~ {quantity(len(scripts), 'scripts')}, as on {shown[scripts]}"
    else:
        yield from scripts
        shown.setdefault(scripts, change.node)
    for part in parts:
        if part.is_script:
            continue
        if part.path:
            yield f"{_MARKS[part.action]} {part.path}"
        if part.action == "change" and not part.lines:
            yield f"{_under(part)}only secrets, or how it is packed, differ"
        yield from (f"{_under(part)}{line}" for line in part.lines[:_MOST])
        if len(part.lines) > _MOST:
            yield f"{_under(part)}... and {quantity(len(part.lines) - _MOST, 'lines')} more"


def _under(part: SeedPart) -> str:
    return "  " if part.path else ""


def _script(part: SeedPart) -> str:
    digests = " -> ".join(digest for digest in (part.before, part.after) if digest)
    return f"{_MARKS[part.action]} {part.path}  {digests}"


def _line(console: Console, depth: int, text: str) -> None:
    """Print a line in the color of its mark."""
    color = _COLORS.get(text.lstrip()[:1])
    shown = f"{'  ' * depth}{text}"
    console.styled(shown, color) if color else console.result(shown)

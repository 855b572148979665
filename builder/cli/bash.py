"""Completion as bash has it: it breaks words at : and =, which are within names of images.

click is handed the broken words; here the line itself is read, and what bash has already of a word
is left out of what it is offered.
"""

from __future__ import annotations

import os
from typing import Any, ClassVar

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    add_completion_class,
    split_arg_string,
)

_END = "\0"
"""Ends the word at the cursor, which may be empty or within quotes."""


class Bash(BashComplete):
    source_template: ClassVar[str] = BashComplete.source_template.replace(
        'COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD',
        'COMP_LINE="$COMP_LINE" COMP_POINT="$COMP_POINT" COMP_WORDBREAKS="$COMP_WORDBREAKS"',
    )

    def get_completion_args(self) -> tuple[list[str], str]:
        before = os.environ["COMP_LINE"][: int(os.environ["COMP_POINT"])]
        words = split_arg_string(before + _END)
        incomplete = words[-1].rstrip(_END)
        quoted = before.removesuffix(incomplete)[-1:] in {"'", '"'}
        value = incomplete.partition("=")[2] if incomplete.startswith("--") else incomplete
        breaks = ":" in os.environ["COMP_WORDBREAKS"] and not quoted
        self._there = value[: value.rfind(":") + 1] if breaks else ""
        return words[1:-1], incomplete

    def format_completion(self, item: CompletionItem[Any]) -> str:
        return f"{item.type},{item.value.removeprefix(self._there)}"


def register() -> None:
    add_completion_class(Bash)

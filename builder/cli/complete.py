"""What a shell offers for values that only a document knows: nodes, artifacts, versions, keys.

The documents are those that the command line names so far, or the usual ones. Whatever is wrong
with them, completion offers nothing and says nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import click
    from click.shell_completion import CompletionItem

    from builder.model.lock import Lock

_Values: TypeAlias = "Callable[[click.Context], Iterable[str]]"
_Completer: TypeAlias = "Callable[[click.Context, click.Parameter, str], list[CompletionItem]]"


def offering(values: _Values, *, files: bool = False) -> _Completer:
    """Make a completer of values; with ``files`` the shell offers its files, too."""

    def complete(
        ctx: click.Context, _param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        try:
            found = sorted({value for value in values(ctx) if value.startswith(incomplete)})
        except Exception:  # noqa: BLE001 -- a shell waits for an answer, and shows no error
            found = []
        own = [CompletionItem(incomplete, type="file")] if files else []
        return [*map(CompletionItem, found), *own]

    return complete


def nothing(_ctx: click.Context) -> Iterable[str]:
    return ()


def nodes(ctx: click.Context) -> Iterable[str]:
    from builder.pipeline.workspace import Workspace

    return (node.name for node in Workspace(_document(ctx, "cluster")).outline.nodes)


def changes(ctx: click.Context) -> Iterable[str]:
    from builder.pipeline import paths

    return (path.name for path in paths.changes(_document(ctx, "cluster")).iterdir())


def secrets(_ctx: click.Context) -> Iterable[str]:
    from builder.pipeline.secrets import WORDS

    return WORDS


def kubernetes(ctx: click.Context) -> Iterable[str]:
    from builder.pipeline import versions

    for row in versions.collect(catalogs=ctx.params.get("catalogs") or ()).kubernetes:
        yield row.series
        yield from row.releases


def builders(ctx: click.Context) -> Iterable[str]:
    from builder.formats import catalog

    return catalog.load(ctx.params.get("catalogs") or ()).packer.builders


def artifacts(ctx: click.Context) -> Iterable[str]:
    """Return the names of all that a lock, or a bundle's lock, has, and who needs it."""
    from builder.pipeline import names

    return names.every(_lock(ctx))


def images(ctx: click.Context) -> Iterable[str]:
    return (image.name for image in _lock(ctx).images)


def platforms(ctx: click.Context) -> Iterable[str]:
    return map(str, _lock(ctx).subject.platforms)


def signing_keys(ctx: click.Context) -> Iterable[str]:
    return (file.fingerprint for file in _lock(ctx).files if file.fingerprint)


def _lock(ctx: click.Context) -> Lock:
    from builder.pipeline import paths
    from builder.pipeline.lock_document import open_lock

    name = next(name for name in ("source", "bundle", "cluster") if name in ctx.params)
    path = _document(ctx, name)
    if name == "cluster":
        path = ctx.params.get("output") or paths.lock(path)
    with open_lock(path) as document:
        return document.lock


def _document(ctx: click.Context, name: str) -> Path:
    """Return the path that is given as an argument, or its default.

    An option that waits for its value keeps click from giving arguments their names.
    """
    return Path(ctx.args[0] if ctx.args else ctx.params[name])

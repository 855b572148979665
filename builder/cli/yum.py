"""What ``publish`` and ``mirror`` have in common: the options of the yum side, and its result."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import click

from builder.cli.amounts import quantity, size
from builder.cli.verb import together
from builder.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from builder.cli.console import Console
    from builder.pipeline.yum import YumPublished

_options = together(
    click.option(
        "--yum",
        metavar="DIR|URL",
        help="Where packages, keys, manifests and files go: a folder, an http(s):// server that"
        " takes PUT, or s3://BUCKET/PREFIX.",
    ),
    click.option(
        "--base-url",
        metavar="URL",
        help="Where machines find what --yum gets, for the .repo file.",
    ),
    click.option(
        "--with-images",
        is_flag=True,
        help="Put images there, too: for machines without a registry whose seed.url it is.",
    ),
)


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the command gets what they say as ``yum``, or None."""

    @functools.wraps(command)
    def judged(
        *args: Any,
        yum: str | None,
        base_url: str | None,
        with_images: bool,
        prune: bool,
        **given: Any,
    ) -> Any:
        target = None
        if yum is not None:
            from builder.pipeline.yum import YumTarget

            target = YumTarget(place=yum, base_url=base_url or "", images=with_images, prune=prune)
        elif given["registry"] is None:
            raise UsageError(
                "there is no place to fill",
                expected="--registry HOST[:PORT][/PREFIX], --yum DIR|URL, or both",
            )
        for option, meant, place, there in (
            ("--base-url", base_url, "--yum", yum),
            ("--with-images", with_images, "--yum", yum),
            ("--mapping", given["mapping"], "--registry", given["registry"]),
        ):
            if meant and there is None:
                raise UsageError(f"{option} needs {place}")
        return command(*args, yum=target, prune=prune, **given)

    return _options(judged)


def value(done: YumPublished) -> dict[str, Any]:
    plan = done.plan
    return {
        "place": done.name,
        "url": done.url,
        "there": plan.there,
        "files": [one.path for one in (*plan.moves, *plan.switches)],
        "size": plan.size,
        "prunable": list(plan.prune),
        "pruned": list(done.pruned),
        "changed": list(done.kept),
    }


def tell(done: YumPublished, console: Console, *, dry_run: bool) -> None:
    plan = done.plan
    moved = f"{quantity(plan.count, 'files')} of {size(plan.size)}"
    if dry_run:
        console.info(f"{done.name}: {moved} would be put there, {plan.there} are there")
        for path in plan.prune:
            console.info(f"  --prune would remove {path}")
        return
    console.info(f"{done.name}: put {moved} there, {plan.there} were there")
    for path in done.pruned:
        console.info(f"  removed {path}")
    left = len(plan.prune) - len(done.pruned) - len(done.kept)
    if left:
        console.info(
            f"  {quantity(left, 'files')} of an earlier lock are there; --prune removes them"
        )
    for path in done.kept:
        console.warn(f"{path} is no longer wanted, but was changed by somebody else; it stays")
    console.info(f"on machines: curl -o /etc/yum.repos.d/airseed.repo {done.url}/airseed.repo")

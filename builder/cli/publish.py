"""``airseed publish``: fill a site's registry from a bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from builder.cli.amounts import quantity, size
from builder.cli.verb import as_json, ca_bundle, existing_bundle, verb
from builder.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from builder.cli.console import Console
    from builder.model.cluster import Registry
    from builder.pipeline.publish import Published, Pushed


registry = click.option(
    "--registry",
    required=True,
    metavar="HOST[:PORT][/PREFIX]",
    help="Where the images go; the `registry:` of cluster.yaml.",
)
plain_http = click.option(
    "--plain-http", is_flag=True, help="Speak HTTP without TLS to the registry."
)
dry_run = click.option("--dry-run", is_flag=True, help="Say what would move, and move nothing.")


@verb(
    "publish",
    examples="""
    airseed publish bundle.tar --registry registry.example.com/k8s
    airseed publish bundle.tar --registry 10.0.0.5:5000 --plain-http --dry-run
    """,
)
@click.argument("bundle", type=existing_bundle(), default="bundle.tar", metavar="[BUNDLE]")
@registry
@plain_http
@dry_run
@ca_bundle
@as_json
@click.pass_obj
def command(
    console: Console,
    bundle: Path,
    *,
    registry: str,
    plain_http: bool,
    dry_run: bool,
    ca_bundle: Path | None,
    as_json: bool,
) -> None:
    """Fill a site's registry from a bundle.

    BUNDLE is a tar, its parts or an unpacked folder; it is read where it lies. The registry is
    asked for what it has, and only the rest moves; tags come last. Logins are docker's and
    podman's (docker login).
    """
    from builder.pipeline.publish import publish

    done = publish(
        bundle,
        registry_of(registry),
        reporter=console,
        ca_bundle=ca_bundle,
        plain_http=plain_http,
        dry_run=dry_run,
    )
    report(done, console, as_json=as_json, dry_run=dry_run)


def report(done: Published, console: Console, *, as_json: bool, dry_run: bool) -> None:
    plan = done.plan
    if as_json:
        console.json(
            {
                "blobs": len(plan.uploads),
                "size": plan.size,
                "mounts": len(plan.mounts),
                "missing": [image.name for image in plan.images],
                "images": [_value(pushed) for pushed in done.pushed],
            }
        )
        return
    moved = f"{quantity(len(plan.uploads), 'blobs')} of {size(plan.size)}"
    if dry_run:
        console.info(f"{quantity(len(plan.images), 'images')} would be pushed: {moved}")
        return
    console.info(f"pushed {quantity(len(plan.images), 'images')}: {moved}")
    partial = [pushed for pushed in done.pushed if pushed.digest != pushed.image.digest]
    if partial:
        console.warn(
            f"the registry refuses indexes that lack platforms: {quantity(len(partial), 'names')}"
            " mean one platform's manifest there",
            hint="airseed publish --json lists both digests",
        )


def registry_of(text: str) -> Registry:
    from builder.model.cluster import Registry

    host, _, prefix = text.removeprefix("https://").rstrip("/").partition("/")
    if not host:
        raise UsageError("names no registry", where=text, expected="HOST[:PORT][/PREFIX]")
    return Registry(host=host, prefix=prefix)


def _value(pushed: Pushed) -> dict[str, str]:
    return {
        "source": pushed.image.name,
        "name": pushed.name,
        "digest": str(pushed.digest),
        "index": str(pushed.image.digest),
        "state": pushed.state,
    }

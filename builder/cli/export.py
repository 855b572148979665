"""``airseed export``: give one kind of what a bundle holds to other tools."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from builder.cli import complete
from builder.cli.amounts import quantity, size
from builder.cli.verb import FilePath, as_json, existing_bundle, together, verb
from builder.errors import UsageError

if TYPE_CHECKING:
    from builder.cli.console import Console
    from builder.model.platform import Platform
    from builder.pipeline.export import Kind

_WHAT = {
    "images": "One tar of the images, for docker load, ctr images import and skopeo.",
    "packages": "A folder with the yum repositories and the keys that signed them.",
    "manifests": "A folder with the manifests, for kubectl apply -f.",
    "keys": "A folder with the public keys.",
    "files": "A folder with the other files.",
}
_NAMES = {"images": "images.tar"}


_kinds = together(
    *(
        click.option(f"--{kind}-only", "kinds", flag_value=kind, multiple=True, help=words)
        for kind, words in _WHAT.items()
    )
)


@verb(
    "export",
    examples="""
    airseed export bundle.tar --images-only
    airseed export bundle.tar --images-only --role worker -o worker.tar
    airseed export bundle.tar --images-only --image k8s.gcr.io/pause:3.2
    airseed export bundle.tar.sha256 --packages-only -o /srv/yum
    """,
)
@click.argument("bundle", type=existing_bundle(), default="bundle.tar", metavar="[BUNDLE]")
@_kinds
@click.option(
    "-o",
    "--output",
    type=FilePath(path_type=Path),
    metavar="PATH",
    help="Where it goes (default: images.tar, or a folder with the name of the kind).",
)
@click.option(
    "--role",
    type=click.Choice(["control-plane", "worker"]),
    help="Of the images, those that this role starts.",
)
@click.option(
    "--platform",
    metavar="OS/ARCH",
    shell_complete=complete.offering(complete.platforms),
    help="Of the images, the parts for this platform.",
)
@click.option(
    "--image",
    "images",
    multiple=True,
    metavar="NAME",
    shell_complete=complete.offering(complete.images),
    help="This image; may be repeated.",
)
@click.option("--force", is_flag=True, help="Replace an archive of images that is there already.")
@as_json
@click.pass_obj
def command(
    console: Console,
    bundle: Path,
    *,
    kinds: tuple[str, ...],
    output: Path | None,
    role: str | None,
    platform: str | None,
    images: tuple[str, ...],
    force: bool,
    as_json: bool,
) -> None:
    """Give one kind of what a bundle holds to other tools.

    BUNDLE is a tar, its parts or an unpacked folder. Every byte is checked while it is copied.
    """
    from builder.pipeline import export

    kind = _kind(kinds)
    choice = export.ImageChoice(images=images, role=role, platform=_platform(platform))
    if kind != "images" and not choice.everything:
        raise UsageError(
            "--role, --platform and --image choose among images", hint="with --images-only"
        )
    target = output or Path(_NAMES.get(kind, kind))
    done = export.export(bundle, kind, target, choice=choice, force=force, reporter=console)
    if as_json:
        console.json({"path": str(done.path), "kind": kind, "count": done.count, "size": done.size})
        return
    words = "images" if kind == "images" else "files"
    console.info(f"wrote {done.path}: {quantity(done.count, words)}, {size(done.size)}")


def _kind(kinds: tuple[str, ...]) -> Kind:
    from builder.pipeline.export import KINDS

    if len(set(kinds)) != 1:
        raise UsageError(
            "only one kind can be exported at a time" if kinds else "choose what to export",
            expected=" or ".join(f"--{kind}-only" for kind in KINDS),
        )
    return next(kind for kind in KINDS if kind == kinds[0])


def _platform(text: str | None) -> Platform | None:
    from builder.model.platform import Platform

    try:
        return Platform.parse(text) if text else None
    except ValueError as error:
        raise UsageError(str(error), where="--platform") from error

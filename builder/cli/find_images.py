"""``airseed find-images``: list the images that Kubernetes manifests will start."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from builder.cli import found_images
from builder.cli.verb import as_json, existing, verb

if TYPE_CHECKING:
    from builder.cli.console import Console


@verb(
    "find-images",
    examples="""
    airseed find-images calico.yaml
    airseed find-images manifests/ --json
    helm template CHART | airseed find-images -
    """,
)
@click.argument(
    "files", type=existing(folder=True, dash=True), nargs=-1, required=True, metavar="FILE..."
)
@as_json
@click.pass_obj
def command(console: Console, files: tuple[Path, ...], *, as_json: bool) -> None:
    """List the images that manifests start.

    One reference a line, sorted. Pod specs are found in every workload kind, in templates inside
    other resources, and in manifests inside ConfigMaps. What else looks like an image (arguments,
    environments, fields of custom resources) is pointed out with its place, and so is what nobody
    can see from here. FILE may be a folder, or - for standard input.
    """
    from builder.pipeline import find_images

    stdin = Path("/dev/stdin")
    manifests = find_images.find(stdin if str(file) == "-" else file for file in files)
    if as_json:
        console.json(found_images.value(manifests))
        return
    references = sorted({str(image.text) for one in manifests for image in one.images})
    for reference in references:
        console.result(reference)
    found_images.tell(manifests, console)
    if not references:
        console.info("the manifests start no images")

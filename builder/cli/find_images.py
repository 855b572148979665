"""``airseed find-images``: list the images that Kubernetes manifests will start."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from builder.cli.verb import existing, verb

if TYPE_CHECKING:
    from builder.cli.console import Console


@verb(
    "find-images",
    examples="""
    airseed find-images calico.yaml
    airseed find-images manifests/*.yaml
    """,
)
@click.argument("files", type=existing(dash=True), nargs=-1, required=True, metavar="FILE...")
@click.pass_obj
def command(console: Console, files: tuple[Path, ...]) -> None:
    """List the images that manifests start.

    One reference a line, sorted. Pod specs are found in every workload kind and in templates
    inside other resources. FILE may be - for standard input: helm template CHART | airseed
    find-images -
    """
    from builder.pipeline import find_images

    stdin = Path("/dev/stdin")
    references = find_images.find(stdin if str(file) == "-" else file for file in files)
    for reference in references:
        console.result(reference)
    if not references:
        console.info("the manifests start no images")

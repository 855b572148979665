"""``airseed find-images``: list the images that Kubernetes manifests will start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from builder.cli.verb import existing, verb

if TYPE_CHECKING:
    from pathlib import Path

    from builder.cli.voice import Voice


@verb(
    "find-images",
    examples="""
    airseed find-images calico.yaml
    airseed find-images manifests/*.yaml
    """,
)
@click.argument("files", type=existing(), nargs=-1, required=True, metavar="FILE...")
@click.pass_obj
def command(voice: Voice, files: tuple[Path, ...]) -> None:
    """List the images that manifests start.

    One reference a line, sorted. Pod specs are found in every workload kind and in templates
    inside other resources.
    """
    from builder.pipeline import find_images

    for reference in find_images.find(files):
        voice.result(str(reference))

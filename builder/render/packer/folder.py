"""All files of the folder, by path: most of them verbatim from ``packer/``."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from builder.assets import tree
from builder.model.image_names import ImageNames
from builder.render.cloudinit import files, packages, values
from builder.render.engine import environment
from builder.render.packer import checks, hcl
from builder.render.packer.image import ROLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jinja2 import Environment

    from builder.render.packer.image import MachineImage
    from builder.render.plan import Plan

TREE = "packer"
GUEST = "guest"
"""What is copied into the guest."""
_SCRIPTS = ("bake.sh", "seal.sh")
_CHECK = "airseed-image-check"
_NOTICE = "# By airseed packer, from cluster.yaml and its lock; it is made anew by every run.\n"


def folder(image: MachineImage) -> Mapping[str, bytes]:
    """Render the folder; every HCL in it was read back."""
    texts = {
        "README.md": _text("README.md"),
        "build.sh": _text("build.sh"),
        "plugins.pkr.hcl": _rendered("plugins.pkr.hcl.j2", _plugins(image)),
        "build.pkr.hcl": _rendered("build.pkr.hcl.j2", _build(image)),
        "variables.pkr.hcl": _text("common/variables.pkr.hcl"),
        "airseed.auto.pkrvars.hcl": hcl.variables(_variables(image), _NOTICE),
        **{f"scripts/{name}": _text(f"scripts/{name}") for name in _SCRIPTS},
        **dict(_starts(image)),
        **dict(_guest(image)),
    }
    for builder in image.builders:
        name = builder.name
        texts[f"variables-{name}.pkr.hcl"] = _text(f"common/variables-{name}.pkr.hcl")
        texts[f"source-{name}.pkr.hcl"] = _text(f"sources/{image.profile}/source-{name}.pkr.hcl")
    for path, text in texts.items():
        if path.endswith(".hcl"):
            hcl.parsed(text)
    return {path: texts[path].encode() for path in sorted(texts)}


def is_program(path: str) -> bool:
    return path.endswith((".sh", _CHECK)) and "/node/" not in path


def sources(image: MachineImage) -> list[str]:
    return [f"source.{builder.name}.node" for builder in image.builders]


def _plugins(image: MachineImage) -> Mapping[str, Any]:
    plugins = image.builders if image.profile == "modern" else ()
    return {
        "required": hcl.string(image.requires),
        "plugins": [
            {"name": one.plugin.rpartition("/")[2], "source": one.plugin, "version": one.version}
            for one in sorted(plugins, key=lambda one: one.plugin)
        ],
    }


def _build(image: MachineImage) -> Mapping[str, Any]:
    here = [f"{one.name}.node" for one in image.builders if one.gives == "file"]
    return {
        "sources": hcl.value(sources(image)),
        "upload": image.delivery == "upload",
        "files": hcl.value(here) if here else "",
    }


def _variables(image: MachineImage) -> Mapping[str, Any]:
    written: dict[str, Any] = {"image_name": image.name, "lock_digest": image.lock.hex}
    medium = image.plan.choice.os.isos.get("minimal")
    if image.disk is not None:
        written |= {
            "iso_urls": [image.disk.url],
            "iso_checksum": str(image.disk.digest),
            "disk_image": True,
        }
    elif medium is not None:
        written |= {"iso_urls": [*medium.sources], "iso_checksum": str(medium.digest)}
    if image.delivery != "url":
        written["bundle"] = image.bundle
    return written


def _starts(image: MachineImage) -> Iterator[tuple[str, str]]:
    system = image.plan.choice.os
    repositories = []
    if image.delivery == "url":
        repositories = [
            {"name": f"airseed-{name}", "url": f"{image.bundle.rstrip('/')}/yum/{name}/"}
            for name in values.repositories(image.plan)
        ]
    entries = [*(f"@{group}" for group in system.groups), *system.installed]
    how = {
        "system": str(system),
        "repositories": repositories,
        "packages": entries,
        "key": image.key,
    }
    yield "http/ks.cfg", _rendered("ks.cfg.j2", how)
    yield "cloud-init/user-data", _rendered("user-data.j2", how)
    yield "cloud-init/meta-data", _rendered("meta-data.j2", how)


def _guest(image: MachineImage) -> Iterator[tuple[str, str]]:
    traces = _text("traces")
    listed = checks.checks(image, traces.split())
    for script in files.scripts(image.plan):
        path = script.path.removeprefix(f"{files.LIBEXEC}/").removeprefix(f"{files.UNITS}/")
        yield f"{GUEST}/node/{path}", str(script.content)
    url = image.bundle if image.delivery == "url" else ""
    yield f"{GUEST}/image.env", values.image_env(image.plan, url=url)
    yield f"{GUEST}/image.checks", checks.lines(listed)
    yield f"{GUEST}/goss.yaml", checks.goss(listed)
    yield f"{GUEST}/image.json", json.dumps(description(image), indent=2) + "\n"
    yield f"{GUEST}/traces", traces
    yield f"{GUEST}/{_CHECK}", _text(f"scripts/{_CHECK}")


def description(image: MachineImage) -> Mapping[str, Any]:
    """Return image.json; the guest puts in when it was built."""
    return {
        "format": 1,
        "image": image.name,
        "lock": str(image.lock),
        **contents(image.plan),
        "airseed": image.version,
        "built": "@BUILT@",
    }


def contents(plan: Plan) -> Mapping[str, Any]:
    """Return what of image.json follows from a cluster and its lock."""
    names = ImageNames(plan.cluster.registry)
    preloaded = () if plan.cluster.registry else plan.lock.images
    return {
        "cluster": plan.cluster.name,
        "bundle": str(plan.sums),
        "kubernetes": str(plan.choice.kubernetes.version),
        "os": str(plan.choice.os),
        "runtime": str(plan.choice.runtime),
        "cni": plan.choice.cni,
        "packages": [*packages.of(plan, plan.cluster.machine)],
        "images": [names.name(one.reference) for one in preloaded if ROLE in one.roles],
    }


def _text(name: str) -> str:
    return (tree(TREE) / name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    return environment(
        lambda name: _text(f"templates/{name}"),
        # braces are Packer's own
        block_start_string="[%",
        block_end_string="%]",
        variable_start_string="[[",
        variable_end_string="]]",
    )


def _rendered(name: str, how: Mapping[str, Any]) -> str:
    return _environment().get_template(name).render(how)

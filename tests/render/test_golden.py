"""Golden trees: what every kind of cluster is rendered to, file by file.

The scripts that all nodes get verbatim are named once for each cluster, and secrets are made up.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import lzma
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import plans
import pytest
import yaml

from builder.assets import tree
from builder.render import inventory
from builder.render.cloudinit import size
from builder.render.seed import seed

if TYPE_CHECKING:
    from collections.abc import Callable

    from builder.render.plan import Plan

CLUSTERS = Path(__file__).parent / "clusters"
NAMES = ("single", "ha", "hardened", *sorted(path.stem for path in CLUSTERS.glob("*.yaml")))
AUTH = {"auths": {"registry.example.com:5000": {"auth": base64.b64encode(b"me:pass").decode()}}}
SCRIPTS = "<scripts>"
"""What stands for them in user-data; which they are is the same for all nodes of a cluster."""
FILES = {
    "site/ca.pem": plans.PEM.format("CERTIFICATE").encode(),
    "site/auth.json": json.dumps(AUTH).encode(),
    "site/blob": bytes(range(8)),
    "site/profile": b"umask 027\n",
}


def made(name: str) -> Plan:
    path = CLUSTERS / f"{name}.yaml"
    text = path.read_text("utf-8") if path.exists() else plans.example(name)
    return plans.plan(text, files=FILES)


def verbatim() -> dict[str, str]:
    """Return the name of each script by its content."""
    folder = tree("cloudinit-templates") / "node"
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    names = {path: f"cloudinit-templates/node/{path.relative_to(folder)}" for path in paths}
    return {
        **{size.bare(path.read_text("utf-8")): f"{names[path]} without comments" for path in paths},
        **{path.read_text("utf-8"): names[path] for path in paths},
    }


def readable(user_data: bytes, names: dict[str, str]) -> tuple[str, str]:
    """Show user-data with each file as a block, and apart from it the scripts as a list."""
    document: dict[str, Any] = yaml.safe_load(user_data)
    files, document["write_files"] = document["write_files"], []
    listed = ""
    for file in files:
        if file["path"].endswith(".xz"):
            listed += _listing(base64.b64decode(file["content"]), names)
            document["write_files"].append({**file, "content": SCRIPTS})
        elif file["content"] in names:
            name = names[file.pop("content")]
            listed += "{permissions} {path} <{name}>\n".format(**file, name=name)
            assert file.keys() == {"path", "permissions"}
            if SCRIPTS not in document["write_files"]:
                document["write_files"].append(SCRIPTS)
            assert document["write_files"][-1] == SCRIPTS
        else:
            document["write_files"].append(file)
    return yaml.dump(document, Dumper=_Blocks, sort_keys=False, width=1000), listed


def _listing(packed: bytes, names: dict[str, str]) -> str:
    lines, plain = [], io.BytesIO(lzma.decompress(packed))
    while head := plain.readline():
        mode, size_, path = head.decode().split()
        lines.append(f"{mode} /{path} <{names[plain.read(int(size_)).decode()]}>\n")
    return "".join(lines)


class _Blocks(yaml.SafeDumper):
    """Writes text of several lines as a block, as a person would."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Blocks.add_representer(str, _text)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_rendered_is_what_was_read_last(
    name: str, golden: Callable[[str, str], None]
) -> None:
    plan = made(name)
    names = verbatim()
    for node in plan.cluster.nodes:
        files = dict(seed(plan, node))
        data = files.pop("user-data")
        packed = data.startswith(b"\x1f\x8b")
        shown, listed = readable(gzip.decompress(data) if packed else data, names)
        golden(f"{name}/scripts", listed)
        golden(f"{name}/{node.name}/{'unpacked-' if packed else ''}user-data", shown)
        for file, content in files.items():
            golden(f"{name}/{node.name}/{file}", content.decode())
    golden(f"{name}/inventory.yaml", inventory.render(plan.cluster))


@pytest.mark.parametrize(("name", "by"), [("ha", "nothing"), ("endpoint", "keepalived")])
def test_every_script_that_is_needed_is_on_every_node(name: str, by: str) -> None:
    plan = made(name)
    scripts = {text for text, name in verbatim().items() if " " not in name}
    of_some = {text for text in scripts if "\n# seed: " in f"\n{text}"}
    of_endpoint = {
        text for text in of_some if re.search(rf"^# seed: by .*\b{by}\b", text, re.MULTILINE)
    }
    assert len(scripts) > 10 < len(scripts - of_some)
    assert len(of_some) > 5
    assert bool(of_endpoint) == (by != "nothing")
    for node in plan.cluster.nodes:
        written = yaml.safe_load(seed(plan, node)["user-data"])["write_files"]
        assert scripts & {file["content"] for file in written} == (scripts - of_some) | of_endpoint

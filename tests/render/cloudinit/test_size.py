"""How user-data is fitted to its provider."""

from __future__ import annotations

import base64
import gzip
import random
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import plans
import pytest
import yaml

from builder.errors import AirseedError
from builder.model.catalog.systems import UserDataLimit
from builder.model.machine import Machine, MachineFile
from builder.render.cloudinit import files, size, userdata
from builder.render.seed import seed

PLAN = plans.plan(plans.example("ha"))
RAW = seed(PLAN, PLAN.first)["user-data"]


def limited(limit: int, counted: str = "raw") -> bytes:
    provider = UserDataLimit(provider="x", bytes=limit, counted=counted)  # type: ignore[arg-type]
    plan = replace(PLAN, choice=replace(PLAN.choice, limit=provider))
    return seed(plan, plan.first)["user-data"]


def test_what_fits_stays_plain() -> None:
    assert limited(len(RAW)) == RAW
    assert limited(-(-len(RAW) // 3) * 4, "base64") == RAW


def test_what_does_not_is_compressed_the_same_way_every_time() -> None:
    packed = limited(len(RAW) - 1)
    assert gzip.decompress(packed) == RAW
    assert packed == limited(len(RAW) - 1)
    assert packed[4:8] == bytes(4)  # no time stamp: RFC 1952
    assert limited(-(-len(RAW) // 3) * 4 - 1, "base64") == packed


@pytest.mark.parametrize(
    "script", files.all_scripts(), ids=lambda file: file.path.rpartition("/")[2]
)
def test_a_script_without_comments_is_the_same_script(script: files.SeedFile) -> None:
    """bash's own reader drops comments, and keeps all else."""
    assert isinstance(script.content, str)
    lean = size.bare(script.content)
    settings = re.findall(r"^# (?!uses|seed)[a-z]+: .*$", script.content, re.MULTILINE)
    assert re.findall(r"^#(?!!).*$", lean, re.MULTILINE) == settings
    assert lean.endswith("\n")
    if script.content.startswith("#!"):
        assert lean.startswith("#!/bin/bash\n")
        assert pretty(lean) == pretty(script.content)


def pretty(script: str) -> str:
    words = ("bash", "--pretty-print", "/dev/stdin")
    done = subprocess.run(words, input=script, capture_output=True, text=True, check=True)
    # programs and documents inside have comments of their own
    return re.sub(r"^[ \t]*(?:#.*)?\n", "", done.stdout, flags=re.MULTILINE)


def test_scripts_are_one_archive_where_nothing_else_helps(tmp_path: Path) -> None:
    packed = limited(len(RAW) - 1)
    lean = limited(len(packed) - 1)
    assert len(lean) < len(packed) * 0.75
    assert lean == limited(len(packed) - 1)
    document = yaml.safe_load(gzip.decompress(lean))
    plain = yaml.safe_load(RAW)
    laid, *others = document["write_files"]
    archive = Path(f"{tmp_path}{laid['path']}")
    archive.parent.mkdir()
    archive.write_bytes(base64.b64decode(laid["content"]))
    assert others == plain["write_files"][-len(others) :]
    unpack, *commands = document["runcmd"]
    assert commands == plain["runcmd"]
    places = [f"{tmp_path}{word}" if word.startswith("/") else word for word in unpack]
    subprocess.run(places, check=True)
    archive.unlink()
    found = [path for path in tmp_path.rglob("*") if path.is_file()]
    unpacked = {f"/{path.relative_to(tmp_path)}": path for path in found}
    scripts = {file.path: file for file in files.scripts(PLAN)}
    assert unpacked.keys() == scripts.keys()
    for path, file in scripts.items():
        assert unpacked[path].read_text("ascii") == size.bare(str(file.content))
        assert f"{unpacked[path].stat().st_mode & 0o7777:04o}" == file.permissions


def test_the_account_adds_up_and_the_error_has_it() -> None:
    noise = random.Random(1).randbytes(70_000)
    machine = Machine(files=(MachineFile(path="/opt/noise", source="n"),))
    plan = plans.plan(plans.example("ha") + "seed: {provider: openstack}\n")
    plan = replace(plan, cluster=replace(plan.cluster, machine=machine), files={"n": noise})
    data = userdata.user_data(plan, plan.first, machine)
    account = size.account(data)
    assert sum(account.values()) == len(data.text)
    assert account["user's files"] == 70_000
    assert account["scripts"] == sum(len(f.content) for f in data.files if f.kind == "scripts")
    with pytest.raises(AirseedError) as caught:
        seed(plan, plan.first)
    said = re.fullmatch(
        r"user-data of k8s01: ([0-9,]+) bytes as base64 when compressed,"
        r" ([0-9,]+) as they are: more than openstack takes"
        r" \(expected 65,535 bytes as base64 at most\)",
        str(caught.value),
    )
    assert said
    packed, plain = (int(number.replace(",", "")) for number in said.groups())
    assert -(-(70_000 + 35_000) // 3) * 4 < packed < plain == -(-len(data.text) // 3) * 4
    faults = [str(fault) for fault in caught.value.faults]
    assert faults[-1] == "user's files: /opt/noise: 70,000 bytes"
    assert f"scripts: {account['scripts']:,} bytes" in faults


@pytest.mark.parametrize(
    "endpoint",
    [
        "10.211.55.60",
        "{address: 10.211.55.60, by: keepalived}",
        "{address: 10.211.55.60, by: kube-vip}",
        "{name: lb-apiserver.kubernetes.local, by: local-proxy}",
    ],
)
def test_the_walkthroughs_cluster_fits_with_any_endpoint(endpoint: str) -> None:
    text = re.sub(r"(?m)^endpoint: .*$", f"endpoint: {endpoint}", plans.example("ha"))
    plan = plans.plan(text + "seed: {provider: openstack}\n")
    limit = plan.choice.limit
    assert limit.bytes
    for node in plan.cluster.nodes:
        packed = seed(plan, node)["user-data"]
        assert packed[:2] == b"\x1f\x8b"
        # a site's own manifests, accounts and addresses take their part
        assert limit.size(len(packed)) < limit.bytes - (4 << 10)


EC2 = """\
kubernetes: 1.18.5
seed: {provider: ec2}
nodes: [{name: e1, role: control-plane, address: 10.0.0.1}]
"""


def test_scripts_do_not_fit_into_the_smallest_and_the_error_says_what_does() -> None:
    plan = plans.plan(EC2)
    with pytest.raises(AirseedError) as caught:
        seed(plan, plan.first)
    assert caught.value.hint == (
        "with airseed's scripts in the image, seed.scripts: image leaves them out here; "
        "or hand the seed over as an ISO (seed.provider: nocloud)"
    )
    assert caught.value.faults[0].where == "scripts"
    plan = plans.plan(EC2.replace("ec2}", "ec2, scripts: image}"))
    data = seed(plan, plan.first)["user-data"]
    assert data.startswith(b"#cloud-config\n")
    assert b"libexec/airseed/bootstrap" not in data
    assert b"airseed-bootstrap.service" in data

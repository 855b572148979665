"""Seeds before the real cloud-init of Debian: its schema, its network writers, its NoCloud.

The package is unpacked, not installed: cloud-init has services that would configure this machine.
"""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import plans
import pytest
import yaml
from interop.programs import TOOLS

from builder.model.catalog.systems import UserDataLimit
from builder.render import iso
from builder.render.seed import seed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from builder.render.plan import Plan

pytestmark = pytest.mark.interop

PACKAGES = (
    "cloud-init fuseiso libfuse2 libumlib0 python3-attr python3-certifi python3-chardet"
    " python3-charset-normalizer python3-configobj python3-idna python3-jinja2 python3-json-pointer"
    " python3-jsonpatch python3-jsonschema python3-markupsafe python3-netifaces python3-oauthlib"
    " python3-pyrsistent python3-requests python3-serial python3-six python3-urllib3 python3-yaml"
)
"""cloud-init with all that it imports; fuseiso for kernels that read no ISO 9660."""
PYTHON = "/usr/bin/python3"
MODULES = "usr/lib/python3/dist-packages"
LIBRARIES = "usr/lib/x86_64-linux-gnu"
USERS = (
    "machine:\n  users: [{name: ops, groups: [wheel], sudo: true, password: '$6$salt$abcdefgh',"
    " ssh-keys: ['ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJYyZ2hvc3Q= ops']}]\n"
    "  files: [{path: /etc/motd, content: 'grüße'}, {path: /home/ops/x, content: x, owner: ops}]\n"
    "  commands: {before: ['echo {{ a }} $(id)'], after: [\"printf '%s' \\\"b\\\"\"]}\n"
    "  ntp: ntp.example.com\n  hosts: {10.0.0.9: [registry.example.com]}\n"
)
NETWORKS = {
    "static": (
        "7.6",
        "address: 10.0.0.5/24, interface: eth0, mac: '52:54:00:12:34:56'",
        (
            "{gateway: 10.0.0.1, nameservers: [10.0.0.2, 10.0.0.3]"
            ", search: [example.com], mtu: 9000,"
            ""
            " routes: [{to: 10.8.0.0/16, via: 10.0.0.9}, {to: 'fd01::/48', via: 'fd00::9'}]}"
        ),
    ),
    "mac": ("7.6", "address: 10.0.0.5/24, mac: '52:54:00:12:34:56'", "{gateway: 10.0.0.1}"),
    "cards": (
        "7.6",
        "address: 10.0.0.5/32, interface: eth0",
        (
            "{gateway: 10.1.0.1, on-link: true, cards: [{interface: eth1, mtu: 9000, address:"
            " [10.8.0.5/24, 10.8.1.5/24], routes: [{to: 10.9.0.0/16, via: 10.8.0.1}]},"
            " {interface: eth1, vlan: 7, address: 10.10.0.5/24},"
            " {bond: {interfaces: [eth2, eth3], mode: 802.3ad}, address: 10.11.0.5/24}]}"
        ),
    ),
    "dhcp": ("7.6", "interface: eth0", "{mtu: 1400}"),
    "bond-vlan": (
        "7.6",
        "address: 10.0.0.5/24",
        (
            "{gateway: 10.0.0.1, nameservers: 10.0.0.2, mtu: 9000, vlan: 100, bond: {interfaces:"
            " [eth0, eth1], mode: 802.3ad, options: {miimon: 100, xmit_hash_policy: layer3+4}}}"
        ),
    ),
    "static-2": (
        "7.6",
        "address: 10.0.0.5/24, mac: '52:54:00:12:34:56'",
        (
            "{version: 2, gateway: 10.0.0.1, nameservers: 10.0.0.2, search: [example.com],"
            " mtu: 9000, routes: [{to: 10.8.0.0/16, via: 10.0.0.9}]}"
        ),
    ),
    "bond-vlan-2": (
        "7.9",
        "address: 10.0.0.5/24",
        (
            "{version: 2, gateway: 10.0.0.1, mtu: 9000, vlan: 100, bond: {interfaces: [eth0, eth1],"
            " mode: 802.3ad, options: {miimon: 100, xmit_hash_policy: layer3+4, lacp_rate: fast}}}"
        ),
    ),
}
NOCLOUD = """
import json, sys
from cloudinit import helpers, util
from cloudinit.sources import DataSourceNoCloud as nocloud
paths = helpers.Paths({"cloud_dir": sys.argv[1], "run_dir": sys.argv[1]})
util.read_dmi_data = lambda key: None
source = nocloud.DataSourceNoCloud({"datasource": {"NoCloud": {}}}, None, paths)
assert source._get_data()
parts = [part for part in source.get_userdata().walk() if not part.is_multipart()]
assert [part.get_content_type() for part in parts] == ["text/cloud-config"]
print(json.dumps({
    "seed": source.seed,
    "user-data": parts[0].get_payload(decode=True).decode(),
    "meta-data": source.metadata,
    "network-config": source.network_config,
}))
"""
MOUNT = """#!/bin/sh
# mount, for a kernel that reads no ISO 9660: the same, through FUSE
for last; do :; done
device=
for word; do case $word in /dev/*) device=$word ;; esac; done
exec fuseiso "$device" "$last" -o ro
"""


@pytest.fixture(scope="session")
def root() -> Path:
    """Unpack Debian's packages once; fail, never skip, when they cannot be had."""
    folder = TOOLS / "cloud-init"
    if not (folder / "ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        subprocess.run(["apt-get", "-q", "download", *PACKAGES.split()], cwd=folder, check=True)
        for package in folder.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", package, folder], check=True)
            package.unlink()
        (folder / "ready").touch()
    return folder


@pytest.fixture(scope="session")
def env(root: Path) -> dict[str, str]:
    return {
        "PATH": f"{root}/usr/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONPATH": str(root / MODULES),
        "LD_LIBRARY_PATH": f"{root}/{LIBRARIES}:{root}/lib/x86_64-linux-gnu",
        "LC_ALL": "C.UTF-8",
    }


def cloud_init(*words: str | Path, env: dict[str, str]) -> str:
    done = subprocess.run(
        [PYTHON, "-W", "ignore", "-m", "cloudinit.cmd.main", *map(str, words)],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def networked(name: str) -> Plan:
    system, node, network = NETWORKS[name]
    dual = ""
    if "fd00::9" in network:
        dual = (
            "network: {pods: [10.244.0.0/16, 'fd00:10:244::/56'],"
            " services: [10.96.0.0/16, 'fd00:10:96::/112']}\n"
        )
        node = node.replace("10.0.0.5/24", "[10.0.0.5/24, 'fd00::5/64']")
    return plans.plan(
        f"kubernetes: 1.19.5\nos: {{name: centos, version: {system}}}\n{dual}"
        f"nodes: [{{name: a, role: control-plane, {node}, machine: {{network: {network}}}}}]\n"
    )


@pytest.mark.parametrize("example", ["single", "ha"])
def test_every_user_data_is_accepted(example: str, tmp_path: Path, env: dict[str, str]) -> None:
    plan = plans.plan(plans.example(example) + USERS)
    for node in plan.cluster.nodes:
        file = tmp_path / node.name
        file.write_bytes(seed(plan, node)["user-data"])
        output = cloud_init("schema", "--config-file", file, env=env)
        assert "Valid cloud-config" in output
        assert "deprecat" not in output.lower()


def test_the_schema_is_one_that_can_refuse(tmp_path: Path, env: dict[str, str]) -> None:
    (tmp_path / "x").write_text("#cloud-config\nwrite_files: [{content: x}]\n")
    with pytest.raises(AssertionError, match="'path' is a required property"):
        cloud_init("schema", "--config-file", tmp_path / "x", env=env)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("distro", "kind"), [("centos", "sysconfig"), ("debian", "netplan")])
def test_networks_arrive_whole(
    name: str,
    distro: str,
    kind: str,
    tmp_path: Path,
    env: dict[str, str],
    golden: Callable[[str, str], None],
) -> None:
    plan = networked(name)
    document = tmp_path / "network-config"
    document.write_bytes(seed(plan, plan.first)["network-config"])
    out = tmp_path / "out"
    options = ("-p", document, "-k", "yaml", "-d", out, "-D", distro, "-O", kind)
    cloud_init("devel", "net-convert", *options, env=env)
    golden(f"network/{name}.{kind}", tree(out))


def tree(folder: Path) -> str:
    """Return all files below a folder as one text, without the writers' own comments."""
    parts = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            lines = path.read_text(encoding="utf-8").splitlines()
            kept = [line for line in lines if line and not line.startswith(("#", ";"))]
            parts.append("\n".join((f"== {path.relative_to(folder)}", *kept, "")))
    return "".join(parts)


@contextmanager
def attached(image: Path) -> Iterator[str]:
    """Attach an image to a loop device, and take it off again."""
    done = subprocess.run(
        ["losetup", "--find", "--show", "--read-only", image],
        capture_output=True,
        text=True,
        check=True,
    )
    device = done.stdout.strip()
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


def test_nocloud_reads_the_iso_plain_and_packed(tmp_path: Path, env: dict[str, str]) -> None:
    """One after the other: of two disks with the label cloud-init takes either."""
    plan = networked("static")
    small = UserDataLimit(provider="x", bytes=65_536)
    packed = replace(plan, choice=replace(plan.choice, limit=small))
    if "iso9660" not in Path("/proc/filesystems").read_text():
        stand_in = tmp_path / "bin" / "mount"
        stand_in.parent.mkdir()
        stand_in.write_text(MOUNT)
        stand_in.chmod(0o755)
        env = {**env, "PATH": f"{stand_in.parent}:{env['PATH']}"}
    for name, one in (("plain", plan), ("packed", packed)):
        image, files = tmp_path / f"{name}.iso", seed(one, one.first)
        image.write_bytes(iso.render(files))
        with attached(image) as device:
            found = read_by_nocloud(tmp_path / name, env)
        assert found["seed"] == device
        given = files["user-data"]
        assert found["user-data"].encode() == (gzip.decompress(given) if one is packed else given)
        assert found["meta-data"]["instance-id"] == "kubernetes-a-1"
        assert found["meta-data"]["local-hostname"] == "a"
        assert found["network-config"] == yaml.safe_load(files["network-config"])


def read_by_nocloud(state: Path, env: dict[str, str]) -> dict[str, Any]:
    """Have cloud-init look for its seed on this machine's disks."""
    state.mkdir()
    done = subprocess.run(
        [PYTHON, "-W", "ignore", "-c", NOCLOUD, state],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found

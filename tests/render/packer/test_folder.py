"""Folders for Packer: golden trees, what HCL says when it is read back, and one list of checks."""

from __future__ import annotations

import json
import re
import warnings
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import plans
import pytest
import yaml
from pykickstart.parser import KickstartParser
from pykickstart.version import RHEL7, makeVersion

from builder.assets import tree
from builder.model.digest import Digest
from builder.render.packer import checks, hcl
from builder.render.packer.folder import folder
from builder.render.packer.image import DiskImage, MachineImage
from builder.render.seed import seed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

BUILDERS = ("qemu", "vsphere-iso", "openstack", "proxmox-iso")
PROFILES = ("modern", "1.6")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMadeUpForTestsMadeUpForTestsMadeUpForTe me"
LOCK = Digest.of(b"a lock")
NODES = "nodes: [{name: a, role: control-plane, address: 10.0.0.1}]\n"
UPSTREAM = Path(__file__).resolve().parents[4] / "shared/upstream/packer"
COMMON = (
    "airseed.auto.pkrvars.hcl", "cloud-init/user-data", "guest/goss.yaml", "guest/image.checks",
    "guest/image.env", "guest/image.json", "http/ks.cfg",
)  # fmt: skip
"""What is generated, and the same whatever builds the image."""


def image(*builders: str, profile: str = "modern", **how: Any) -> MachineImage:
    table = plans.catalog().packer
    fields: dict[str, Any] = {
        "plan": plans.plan(plans.example("single")),
        "lock": LOCK,
        "builders": tuple(table.builder(name) for name in builders or ("qemu",)),
        "profile": profile,
        "requires": table.profiles[profile],
        "delivery": "url",
        "bundle": "http://10.0.0.5:8080",
        "key": KEY,
        "version": "0.1.0",
    }
    return MachineImage(**{**fields, **how})


@cache
def texts(*builders: str, profile: str = "modern") -> Mapping[str, str]:
    rendered = folder(image(*builders, profile=profile))
    return {path: content.decode() for path, content in rendered.items()}


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("builder", BUILDERS)
def test_what_is_generated_is_what_was_read_last(
    builder: str, profile: str, golden: Callable[[str, str], None]
) -> None:
    written = texts(builder, profile=profile)
    for path in COMMON:
        golden(f"common/{path}", written[path])
    golden(f"{builder}/build.pkr.hcl", written["build.pkr.hcl"])
    golden(f"{builder}/plugins-{profile}.pkr.hcl", written["plugins.pkr.hcl"])
    own = [path for path in written if not path.startswith("guest/node/")]
    golden(f"{builder}/files", "".join(f"{path}\n" for path in own))


def test_what_is_not_generated_is_there_word_for_word() -> None:
    packer = tree("packer")
    for profile in PROFILES:
        written = texts(*BUILDERS, profile=profile)
        for name in BUILDERS:
            source = packer / f"sources/{profile}/source-{name}.pkr.hcl"
            assert written[f"source-{name}.pkr.hcl"] == source.read_text("utf-8")
            variables = packer / f"common/variables-{name}.pkr.hcl"
            assert written[f"variables-{name}.pkr.hcl"] == variables.read_text("utf-8")
        assert written["scripts/seal.sh"] == (packer / "scripts/seal.sh").read_text("utf-8")


def test_several_builders_share_everything_but_their_sources() -> None:
    every, one = texts(*BUILDERS), texts("qemu")
    differing = {path for path in one if one[path] != every[path]}
    assert differing == {"build.pkr.hcl", "plugins.pkr.hcl"}
    build = hcl.parsed(every["build.pkr.hcl"])["build"][0]
    assert build["sources"] == [f"source.{name}.node" for name in BUILDERS]


def test_the_values_are_read_back_as_they_were_meant() -> None:
    values = hcl.parsed(texts("qemu")["airseed.auto.pkrvars.hcl"])
    medium = plans.catalog().os("centos", "7.6").isos["minimal"]
    assert values["iso_checksum"] == str(medium.digest)
    assert values["iso_urls"] == list(medium.sources)
    assert values["lock_digest"] == LOCK.hex
    assert values["image_name"] == f"kubernetes-k8s-1.18.5-centos-7.6-{LOCK.hex[:12]}"


@pytest.mark.parametrize(
    "text", ["plain", 'a "quoted" one', "a\\b", "${var.x}", "%{ if x }", "$${x}", "tab\there", "ü"]
)
def test_a_text_says_in_hcl_what_it_says(text: str) -> None:
    written = hcl.variables({"x": text, "y": [text]}, "# no")
    assert hcl.parsed(written) == {"x": text, "y": [text]}
    assert "${var" not in written.replace("$${", "")


def test_every_variable_that_is_used_is_declared_and_the_other_way_round() -> None:
    for profile in PROFILES:
        written = texts(*BUILDERS, profile=profile)
        blocks = [
            hcl.parsed(text).get("variable", []) for path, text in written.items()
            if path.endswith(".pkr.hcl")
        ]  # fmt: skip
        declared = {name: one for block in blocks for each in block for name, one in each.items()}
        every = "".join(text for path, text in written.items() if path.endswith(".pkr.hcl"))
        used = set(re.findall(r"\bvar\.([a-z_]+)", every))
        spare = {"proxmox_storage_type"} if profile == "modern" else {"efi_code", "efi_vars"}
        assert set(declared) - spare == used - spare
        assert not [name for name, one in declared.items() if not {"type", "description"} <= {*one}]
        secret = {name for name, one in declared.items() if one.get("sensitive")}
        assert secret == {name for name in declared if "password" in name}
        assert not [name for name in secret if "env(" not in str(declared[name]["default"])]
        assert set(hcl.parsed(written["airseed.auto.pkrvars.hcl"])) <= set(declared)


@pytest.mark.skipif(not UPSTREAM.is_dir(), reason="no lists of the plugins' attributes here")
@pytest.mark.parametrize(
    ("builder", "file"),
    [("qemu", "qemu"), ("vsphere-iso", "vsphere"), ("openstack", "openstack"),
     ("proxmox-iso", "proxmox")],
)  # fmt: skip
def test_the_plugins_know_every_attribute(builder: str, file: str) -> None:
    known = json.loads((UPSTREAM / f"{file}-attributes.json").read_text())["attributes"]
    source = hcl.parsed(texts(builder)[f"source-{builder}.pkr.hcl"])["source"][0][builder]["node"]
    assert {*source} - {*known} <= {"CPUs", "RAM"}
    for name, value in source.items():
        if name in known and known[name] == "Block":
            assert isinstance(value, (list, dict)), name
        if name in known and known[name].startswith("List") and isinstance(value, list):
            assert all(isinstance(item, (str, list)) for item in value), name
        if known.get(name) == "Bool" and isinstance(value, str):
            assert value.startswith("${"), name


def test_the_modern_profile_names_its_plugins_and_the_old_one_none() -> None:
    packer = hcl.parsed(texts(*BUILDERS)["plugins.pkr.hcl"])["packer"][0]
    assert packer["required_version"] == ">= 1.7.0"
    plugins = packer["required_plugins"][0]
    table = plans.catalog().packer.builders.values()
    assert plugins == {
        one.plugin.rpartition("/")[2]: {"source": one.plugin, "version": one.version}
        for one in table
    }
    old = hcl.parsed(texts(*BUILDERS, profile="1.6")["plugins.pkr.hcl"])["packer"][0]
    assert old == {"required_version": "~> 1.6.6"}


def test_another_version_of_a_plugin_or_medium_changes_one_file() -> None:
    before = folder(image())
    builder = replace(image().builders[0], version="9.9.9")
    after = folder(image(builders=(builder,)))
    assert [path for path in before if before[path] != after[path]] == ["plugins.pkr.hcl"]
    plan = image().plan
    system = plan.choice.os
    iso = replace(system.isos["minimal"], digest=Digest.of(b"another"))
    choice = replace(plan.choice, os=replace(system, isos={"minimal": iso}))
    after = folder(image(plan=replace(plan, choice=choice)))
    assert [path for path in before if before[path] != after[path]] == ["airseed.auto.pkrvars.hcl"]


def test_a_disk_image_takes_the_place_of_the_medium() -> None:
    disk = DiskImage(url="/srv/centos.qcow2", digest=Digest.of(b"disk"))
    written = folder(image(disk=disk, delivery="disk", bundle="/srv/bundle.tar"))
    assert hcl.parsed(written["airseed.auto.pkrvars.hcl"].decode()) == {
        "image_name": image().name,
        "lock_digest": LOCK.hex,
        "iso_urls": ["/srv/centos.qcow2"],
        "iso_checksum": str(Digest.of(b"disk")),
        "disk_image": True,
        "bundle": "/srv/bundle.tar",
    }
    assert b"AIRSEED_PAYLOAD_URL=''\n" in written["guest/image.env"]


def test_only_an_upload_is_uploaded() -> None:
    for delivery, bundle in (("upload", "/srv/b.tar"), ("disk", "/srv/b.tar"), ("url", "http://x")):
        build = folder(image(delivery=delivery, bundle=bundle))["build.pkr.hcl"].decode()
        assert ("/var/tmp/bundle.tar" in build) is (delivery == "upload")  # noqa: S108 -- the guest's


def test_the_kickstart_installs_what_the_locks_base_says() -> None:
    text = texts("qemu")["http/ks.cfg"]
    system = plans.catalog().os("centos", "7.6")
    packages = text.partition("%packages --excludedocs\n")[2].partition("%end")[0].split()
    assert packages == [*(f"@{group}" for group in system.groups), *system.installed]
    assert "swap" not in text.replace("# No swap.", "")
    assert f"echo '{KEY}'" in text


def test_the_check_and_goss_have_one_list() -> None:
    """Every line of the check is one entry of goss, and says the same."""
    written = texts("qemu")
    lines = [line.split(" ") for line in written["guest/image.checks"].splitlines()]
    goss = yaml.safe_load(written["guest/goss.yaml"])
    entries = {
        (section, name): wanted for section, of in goss.items() for name, wanted in of.items()
    }
    assert len(lines) == len(entries) > 40
    for kind, name, *value in lines:
        text = str(entries[_place(kind, name)])
        assert not value or value[0] in text or value[0] in {"enabled", "disabled", "free"}


def _place(kind: str, name: str) -> tuple[str, str]:
    direct = {"package": "package", "sysctl": "kernel-param", "file": "file", "empty": "file"}
    if kind == "service":
        return "service", name.removesuffix(".service")
    if kind == "module":
        known = f"grep -q /{name}.ko /lib/modules/$(uname -r)/modules.builtin"
        return "command", f"test -d /sys/module/{name} || {known}"
    if kind == "port":
        return "port", f"tcp:{name}"
    if kind == "swap":
        return "command", checks._COMMANDS["swap"]
    if kind == "absent":
        return ("command", f"ls -d {name} 2>/dev/null || true") if "*" in name else ("file", name)
    return direct[kind], name


def test_a_version_has_its_epoch_as_goss_says_it() -> None:
    """goss calls docker-ce's 3:19.03.9-3.el7, and a package without one by the rest alone."""
    written = texts("qemu")
    assert "package docker-ce 3:19.03.9-3.el7\n" in written["guest/image.checks"]
    packages = yaml.safe_load(written["guest/goss.yaml"])["package"]
    assert packages["docker-ce"]["versions"] == ["3:19.03.9-3.el7"]
    assert packages["kubelet"]["versions"] == ["1.18.5-0"]


def test_every_kind_of_check_has_a_function_in_the_script() -> None:
    script = (tree("packer") / "scripts/airseed-image-check").read_text("utf-8")
    known = set(re.findall(r"^check_([a-z-]+)\(\)", script, re.MULTILINE))
    goss = {*checks._DIRECT, *checks._COMMANDS}
    assert known == goss


def test_seeds_for_baked_images_fit_the_smallest_cloud_as_they_are() -> None:
    document = yaml.safe_load(plans.example("ha"))
    document["seed"] = {"provider": "ec2", "scripts": "image"}
    plan = plans.plan(yaml.safe_dump(document))
    for node in plan.cluster.nodes:
        data = seed(plan, node)["user-data"]
        assert data.startswith(b"#cloud-config")
        assert len(data) < 16384


def test_an_image_has_no_secret_of_its_cluster() -> None:
    every = "".join(texts(*BUILDERS).values())
    for secret in (plans.TOKEN, plans.CERTIFICATE_KEY, "PRIVATE KEY", plans.AUTHORITY.digest):
        assert secret not in every


def test_every_kickstart_is_one_of_its_system() -> None:
    """ksvalidator's own way of reading: unknown commands, options and deprecated ones fail."""
    for system, series in (("7.6", RHEL7), ("7.9", RHEL7)):
        text = f"kubernetes: 1.18.5\nos: {{name: centos, version: '{system}'}}\n{NODES}"
        for delivery, bundle in (("upload", "/srv/b.tar"), ("url", "http://10.0.0.5:8080")):
            rendered = folder(image(plan=plans.plan(text), delivery=delivery, bundle=bundle))
            parser = KickstartParser(
                makeVersion(series), errorsAreFatal=True, missingIncludeIsFatal=False
            )
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                parser.readKickstartFromString(rendered["http/ks.cfg"].decode())
            assert parser.handler.rootpw.lock
            assert parser.handler.timezone.isUtc

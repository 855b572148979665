from __future__ import annotations

import json
import re
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

import pytest
from plans import catalog

from builder import disk
from builder.errors import StorageError, UsageError
from builder.formats import cluster as cluster_format
from builder.model.cluster import Cni, Endpoint, Network, Runtime, System
from builder.model.platform import Platform
from builder.model.version import Version
from builder.pipeline import init

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EXAMPLES = ["ha", "hardened", "single"]
COMPLETE = ["ha", "single"]
"""Those that show every key."""
_KEY = re.compile(r"( *)# ((?:- )?[a-z][a-z-]*:(?: .*)?)")


def test_these_are_the_examples() -> None:
    assert init.examples() == tuple(EXAMPLES)


def test_single_is_section_one_of_the_walkthrough(tmp_path: Path) -> None:
    read = cluster_format.load(init.write("single", tmp_path / "cluster.yaml"), catalog=catalog())
    cluster = read.cluster
    assert read.remarks == ()
    assert cluster.kubernetes == Version(1, 18, 5)
    assert cluster.os == System(name="centos", version="7.6")
    assert cluster.runtime == Runtime(name="docker", version="19.03.9")
    assert cluster.cni == Cni(name="calico", version="3.18", install="operator")
    assert cluster.network == Network(
        pods=(ip_network("192.168.0.0/16"),), services=(ip_network("10.96.0.0/12"),)
    )
    assert cluster.platforms == (Platform("linux", "amd64"),)
    assert [(node.name, node.role) for node in cluster.nodes] == [("test", "control-plane")]
    assert (cluster.name, cluster.endpoint, cluster.registry) == ("kubernetes", None, None)


def test_ha_is_section_two_of_the_walkthrough(tmp_path: Path) -> None:
    read = cluster_format.load(init.write("ha", tmp_path / "cluster.yaml"), catalog=catalog())
    cluster = read.cluster
    assert [remark.what for remark in read.remarks] == [
        (
            "10.211.55.48 is k8s01 itself: without that node the cluster cannot be reached "
            "(no high availability)"
        )
    ]
    assert cluster.name == "cluster.local"
    assert cluster.kubernetes == Version(1, 18, 5)
    assert cluster.os == System(name="centos", version="7.6")
    assert cluster.runtime == Runtime(name="docker", version="19.03.9")
    assert cluster.cni == Cni(name="calico", version="3.18", install="operator")
    assert cluster.network == Network(
        pods=(ip_network("10.222.0.0/18"),), services=(ip_network("10.233.0.0/18"),)
    )
    assert cluster.network.domain == "cluster.local"
    assert cluster.endpoint == Endpoint(host="10.211.55.48", port=6443)
    assert [(node.name, node.address) for node in cluster.control_planes] == [
        (f"k8s0{n}", ip_address(f"10.211.55.{47 + n}")) for n in (1, 2, 3)
    ]
    assert [(node.name, node.address) for node in cluster.workers] == [
        (f"k8s0{n}", ip_address(f"10.211.55.{47 + n}")) for n in (4, 5)
    ]


def blocks(lines: list[str]) -> Iterator[list[int]]:
    """Find the commented examples: a line like a key, and what is indented below it."""
    number = 1  # the first line is for editors
    while number < len(lines):
        match = _KEY.fullmatch(lines[number])
        number += 1
        if not match:
            continue
        block = [number - 1]
        deeper = re.compile(rf"{match[1]}#  +\S.*")
        while number < len(lines) and deeper.fullmatch(lines[number]):
            block.append(number)
            number += 1
        yield block


def uncommented(lines: list[str], block: list[int]) -> list[str]:
    return [line.replace("# ", "", 1) if i in block else line for i, line in enumerate(lines)]


@pytest.mark.parametrize("name", COMPLETE)
def test_every_commented_key_may_be_uncommented(name: str, tmp_path: Path) -> None:
    lines = init.write(name, tmp_path / "cluster.yaml").read_text(encoding="utf-8").split("\n")
    found = [*blocks(lines)]
    assert len(found) >= 8
    before = cluster_format.read("\n".join(lines), "as it is")
    every = lines
    for block in found:
        text = "\n".join(uncommented(lines, block))
        assert cluster_format.read(text, lines[block[0]]).remarks == before.remarks
        every = uncommented(every, block)
    assert cluster_format.read("\n".join(every), "all of them").cluster != before.cluster


@pytest.mark.parametrize("name", COMPLETE)
def test_every_key_is_there(name: str, tmp_path: Path) -> None:
    """A newcomer finds each key of the schema in the example, in use or commented."""
    text = init.write(name, tmp_path / "cluster.yaml").read_text(encoding="utf-8")
    schema = cluster_format.schema()
    keys = [*schema["properties"], *schema["properties"]["nodes"]["items"]["properties"]]
    for part in ("network", "extra", "os"):
        keys += schema["properties"][part]["properties"]
    if name == "single":
        keys.remove("was")  # a node that is alone has nobody to join again
    for key in keys:
        assert re.search(rf"^ *(?:# +)?(?:- )?{key}:", text, re.MULTILINE), key


@pytest.mark.parametrize("name", EXAMPLES)
def test_editors_find_the_schema_beside_it(name: str, tmp_path: Path) -> None:
    written = init.write(name, tmp_path / "cluster.yaml")
    first = written.read_text(encoding="utf-8").split("\n")[0]
    assert first == "# yaml-language-server: $schema=cluster.schema.json"
    assert json.loads((tmp_path / "cluster.schema.json").read_text()) == cluster_format.schema()
    assert {path.name for path in tmp_path.iterdir()} == {"cluster.yaml", "cluster.schema.json"}


def test_a_folder_gets_cluster_yaml_and_a_new_folder_is_made(tmp_path: Path) -> None:
    assert init.write("single", tmp_path) == tmp_path / "cluster.yaml"
    assert init.write("ha", tmp_path / "new" / "prod.yaml").is_file()


def test_a_file_is_not_overwritten_unless_forced(tmp_path: Path) -> None:
    target = tmp_path / "cluster.yaml"
    target.write_text("mine")
    with pytest.raises(UsageError) as caught:
        init.write("single", target)
    assert str(caught.value) == f"{target}: the file exists"
    assert caught.value.hint == "--force replaces it"
    assert target.read_text() == "mine"
    init.write("single", target, force=True)
    assert cluster_format.load(target, catalog=catalog()).cluster.name == "kubernetes"


def test_an_unknown_example_names_the_known(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        init.write("sngle", tmp_path)
    assert str(caught.value) == "there is no example 'sngle' (expected ha or hardened or single)"
    assert caught.value.hint == "did you mean 'single'?"


def test_a_full_disk_leaves_no_cluster_yaml_that_would_stop_the_next_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = disk.put

    def full(path: Path, content: bytes) -> None:
        if path.name == init.SCHEMA_NAME:
            raise StorageError("No space left on device", where=str(path))
        put(path, content)

    monkeypatch.setattr(disk, "put", full)
    with pytest.raises(StorageError):
        init.write("single", tmp_path)
    assert [*tmp_path.iterdir()] == []


def test_a_place_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError) as caught:
        init.write("single", tmp_path / "file" / "cluster.yaml", force=True)
    assert str(caught.value).endswith(("not a directory", "file exists"))

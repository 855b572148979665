"""``airseed inspect``: what is inside a lock or a bundle, and why."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from builder.cli.root import run
from builder.errors import UsageError
from builder.pipeline import inspect, names

if TYPE_CHECKING:
    from pathlib import Path

    from sandboxes import Sample


def inspected(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert run(["inspect", *words]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_lock_tar_and_folder_say_the_same(
    sample: Sample, unpacked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = (sample.folder / "cluster.lock", sample.bundle, unpacked)
    for more in ((), ("--json",), ("--why", "libseccomp")):
        assert len({inspected(capsys, str(place), *more) for place in places}) == 1


def test_tables(sample: Sample, capsys: pytest.CaptureFixture[str]) -> None:
    out = inspected(capsys, str(sample.bundle))
    parts = [part.splitlines() for part in out.split("\n\n")]
    assert "\n".join(parts[0]) == (
        "cluster.local: Kubernetes 1.18.5 on centos 7.6 (base: core), docker 19.03.9, "
        "calico 3.18.6 operator, linux/amd64"
    )
    heads = [re.split(r"  +", part[0]) for part in parts[1:]]
    assert heads == [
        ["KIND", "COUNT", "SIZE"],
        ["IMAGE", "SIZE", "DIGEST", "TRUST", "SIGNED BY", "NEEDED BY"],
        ["PACKAGE", "SIZE", "REPOSITORY", "TRUST", "NEEDED BY"],
        ["REPOSITORY", "METADATA", "KEYS", "DIGEST OF REPOMD.XML"],
        ["FILE", "SIZE", "DIGEST", "TRUST", "NEEDED BY"],
    ]
    lock = sample.lock
    counts = (len(lock.images), len(lock.packages), len(lock.repositories), len(lock.files))
    assert tuple(len(part) - 1 for part in parts[2:]) == counts
    (pause,) = (line for line in parts[2] if line.startswith("k8s.gcr.io/pause:3.2"))
    assert re.split(r"  +", pause)[3:] == ["first-use", "nobody", "kubeadm, runtime"]
    states = dict(re.split(r"  +", line)[:2] for line in parts[4][1:])
    assert states == {
        "centos-7.6-extras": "unsigned",
        "centos-7.6-os": "unsigned",
        "centos-7.6-updates": "unsigned",
        "docker-ce-stable-el7": "unsigned",
        "kubernetes-el7": "signed",
    }


def test_json_has_all_of_it(sample: Sample, capsys: pytest.CaptureFixture[str]) -> None:
    value: dict[str, Any] = json.loads(inspected(capsys, str(sample.bundle), "--json"))
    lock = sample.lock
    assert [one["name"] for one in value["images"]] == [image.name for image in lock.images]
    assert [one["digest"] for one in value["packages"]] == [str(p.digest) for p in lock.packages]
    assert [one["path"] for one in value["files"]] == [file.path for file in lock.files]
    for name, things in (("images", lock.images), ("packages", lock.packages)):
        assert [one["neededBy"] for one in value[name]] == [list(one.needed_by) for one in things]
    assert value["size"] == lock.size == sum(total["size"] for total in value["totals"].values())
    assert value["totals"]["packages"]["count"] == len(lock.packages)
    assert value["cluster"]["platforms"] == ["linux/amd64"]


def test_sizes_of_images_count_what_is_shared_for_each(sample: Sample) -> None:
    lock = sample.lock
    alone = sum(inspect.image_sizes(lock).values())
    (together,) = (total.size for total in inspect.totals(lock) if total.kind == "images")
    assert together < alone


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("kubeadm", ["kubeadm -> kubeadm-1.18.5-0.x86_64"]),
        (
            "libcgroup",
            ["runtime -> docker-ce-3:19.03.9-3.el7.x86_64 -> libcgroup-0.41-20.el7.x86_64"],
        ),
        # kubelet and kubernetes-cni need each other
        ("kubernetes-cni-0.8.6-0.x86_64", ["kubeadm -> kubernetes-cni-0.8.6-0.x86_64"]),
        (
            "python-markupsafe",
            [
                (
                    "os -> cloud-init-18.2-1.el7.centos.2.x86_64 -> "
                    "python-jinja2-2.7.2-2.el7.noarch -> python-markupsafe-0.11-10.el7.x86_64"
                )
            ],
        ),
        (
            "pause",
            ["kubeadm -> k8s.gcr.io/pause:3.2", "runtime -> k8s.gcr.io/pause:3.2"],
        ),
        (
            "k8s.gcr.io/pause:3.2",
            ["kubeadm -> k8s.gcr.io/pause:3.2", "runtime -> k8s.gcr.io/pause:3.2"],
        ),
        ("keys/docker-ce.asc", ["packages -> keys/docker-ce.asc"]),
        ("calico/typha", ["calico -> docker.io/calico/typha:v3.18.6"]),
        ("calico/typha:v3.18.6", ["calico -> docker.io/calico/typha:v3.18.6"]),
        (
            "runtime",
            [
                "runtime -> containerd.io-1.2.13-3.2.el7.x86_64",
                "runtime -> docker-ce-3:19.03.9-3.el7.x86_64",
                "runtime -> docker-ce-cli-1:19.03.9-3.el7.x86_64",
                "runtime -> k8s.gcr.io/pause:3.2",
            ],
        ),
        (
            "packages",
            [f"packages -> keys/{name}.asc" for name in ("centos-7", "docker-ce", "google-rpm")],
        ),
        ("centos-7.6-updates", ["cloud-init-18.2-1.el7.centos.2.x86_64 -> centos-7.6-updates"]),
    ],
)
def test_why(
    sample: Sample, name: str, lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    lock = str(sample.folder / "cluster.lock")
    assert inspected(capsys, lock, "--why", name).splitlines() == lines
    chains = json.loads(inspected(capsys, lock, "--why", name, "--json"))
    assert [" -> ".join(chain) for chain in chains] == lines


def test_every_name_that_a_table_shows_is_taken(
    sample: Sample, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a person copies out of a column of names."""
    monkeypatch.setenv("COLUMNS", "400")
    shown: set[str] = set()
    for table in inspected(capsys, str(sample.bundle)).split("\n\n")[2:]:
        head, *rows = table.splitlines()
        columns = re.split(r" {2,}", head)
        for row in rows:
            cells = dict(zip(columns, re.split(r" {2,}", row), strict=True))
            for column in (*columns[:1], "DIGEST", "REPOSITORY", "KEYS", "NEEDED BY"):
                shown.update(cells.get(column, "").split(", "))
    shown.discard("")
    assert {"calico", "runtime", "centos-7.6-os", "k8s.gcr.io/pause:3.2"} <= shown
    assert [name for name in sorted(shown) if not inspect.why(sample.lock, name)] == []
    assert shown & {*names.every(sample.lock)} >= {"calico", "os", "docker-ce-stable-el7"}


def test_every_package_and_image_has_a_reason(sample: Sample) -> None:
    starts = {"kubeadm", "runtime", "os"}
    for package in sample.lock.packages:
        chains = inspect.why(sample.lock, package.name)
        assert chains
        assert {chain[0] for chain in chains} <= starts
    for image in sample.lock.images:
        assert inspect.why(sample.lock, image.name)


def test_an_unknown_name(sample: Sample, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError):
        inspect.why(sample.lock, "libsecomp")
    assert run(["inspect", str(sample.bundle), "--why", "libsecomp"]) == 2
    assert capsys.readouterr().err == (
        "error: nothing in this lock is called 'libsecomp'\n  hint: did you mean 'libseccomp'?\n"
    )
    assert run(["inspect", str(sample.bundle), "--why", "pouse"]) == 2
    assert capsys.readouterr().err.endswith("`airseed inspect` lists what there is\n")


def test_what_is_no_lock_and_no_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.lock").write_text('{"format": 99}\n')
    assert run(["inspect", str(tmp_path / "x.lock")]) == 3
    assert "this is not a lock" in capsys.readouterr().err
    (tmp_path / "x.lock").write_text('{"format": 99, "artifacts": []}\n')
    assert run(["inspect", str(tmp_path / "x.lock")]) == 3
    assert "format: the lock has format 99" in capsys.readouterr().err
    (tmp_path / "x.tar").write_text("something else\n" * 200)
    assert run(["inspect", str(tmp_path / "x.tar")]) == 1
    assert "not an airseed bundle" in capsys.readouterr().err
    assert run(["inspect", str(tmp_path / "none")]) == 2

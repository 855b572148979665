"""The playbook of a change, run by Ansible itself on machines that are folders of this one."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from builder.model.change import Change, NodeState, Running, Stage
from builder.render.changes import playbook

pytestmark = pytest.mark.interop
ANSIBLE = Path(__file__).resolve().parents[2] / "build/interop/ansible/bin/ansible-playbook"
INVENTORY = "inventory.yaml"
ID = "001-upgrade-1.19.5"
NODES = ("k8s01", "k8s02", "k8s03")
SUDO = """\
#!/bin/bash
while [[ $1 == -* ]]; do
    [[ $1 != -u && $1 != -p ]] || shift
    shift
done
exec unshare -m bash -c 'mount -t tmpfs none /var/lib && mkdir /var/lib/airseed &&
    mount --bind "$0" /var/lib/airseed && exec "$@"' "$(dirname "$0")/state" "$@"
"""
"""Becomes root of a machine whose /var/lib/airseed is a folder beside it."""
SCRIPT = """\
#!/bin/bash
# The stand-in of NODE.sh: it ends only when all machines have begun.
echo "$(basename "$0") $*" >>LOG
touch /var/lib/airseed/begun
[ "${1:-}" != --no-wait ] || exit 0
[ ! -e /var/lib/airseed/broken ] || { echo 'airseed: step images failed'; exit 1; }
for ((i = 0; i < 300; i++)); do
    [ "$(ls MACHINES/*/state/begun | wc -l)" -lt COUNT ] || break
    sleep 0.1
done
[ "$i" -lt 300 ] || { echo 'nobody else begins'; exit 1; }
mkdir -p /var/lib/airseed/changes/ID
echo done >/var/lib/airseed/changes/ID/change
echo '{"format": 1, "node": "NODE", "state": "done"}' >/var/lib/airseed/result.json
"""


class Site:
    """Hold the folder of a change, and machines beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.change = folder / "changes" / ID
        (self.change / "results").mkdir(parents=True)
        change = _change()
        (self.change / "playbook.yaml").write_text(playbook.playbook(change))
        addresses = dict.fromkeys(NODES, "127.0.0.1")
        (self.change / "inventory.yaml").write_text(playbook.inventory(change, addresses))
        own = {}
        for name in NODES:
            machine = folder / "machines" / name
            (machine / "state").mkdir(parents=True)
            (machine / "sudo").write_text(SUDO)
            (machine / "sudo").chmod(0o755)
            (machine / "state/result.json").write_text('{"format": 1, "state": "running"}')
            text = SCRIPT.replace("LOG", str(folder / "log")).replace("COUNT", str(len(NODES)))
            text = text.replace("MACHINES", str(folder / "machines")).replace("NODE", name)
            (self.change / f"{name}.sh").write_text(text.replace("/ID", f"/{ID}"))
            own[name] = {"ansible_become_exe": str(machine / "sudo")}
        (folder / "local.yaml").write_text(
            yaml.safe_dump({"all": {"hosts": own, "vars": {"ansible_connection": "local"}}})
        )

    def play(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [ANSIBLE, "-i", INVENTORY, "-i", self.folder / "local.yaml", "playbook.yaml", *words],
            cwd=self.change,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.folder),
                "LC_ALL": "C.UTF-8",
                "ANSIBLE_LOCALHOST_WARNING": "False",
                "ANSIBLE_BECOME_ALLOW_SAME_USER": "True",  # else root becomes nobody else
            },
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def log(self) -> list[str]:
        path = self.folder / "log"
        return path.read_text().splitlines() if path.exists() else []


def _change() -> Change:
    nodes = tuple(NodeState(name=n, role="control-plane", kubernetes="1.19.5", runtime="docker 1")
                  for n in NODES)  # fmt: skip
    after = Running(cluster="c", authority="", endpoint="", kubernetes="1.19.5", cni="none",
                    registry="", sums="", nodes=nodes)  # fmt: skip
    stage = Stage(plan="upgrade", nodes=NODES, what="a", reason="b", words="upgrade", after=after)
    return Change(id=ID, digest="0" * 64, stages=(stage,))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    assert ANSIBLE.exists(), "tests/interop/setup.sh installs Ansible"
    return Site(tmp_path)


def recap(ran: subprocess.CompletedProcess[str]) -> dict[str, dict[str, int]]:
    lines = ran.stdout.partition("PLAY RECAP")[2].splitlines()
    return {
        line.split()[0]: {k: int(v) for k, v in (pair.split("=") for pair in line.split()[2:])}
        for line in lines
        if " : " in line
    }


@pytest.mark.parametrize("option", ["", "--instead"])
@pytest.mark.parametrize("words", [(), ("-e", "airseed_serial=1")], ids=["at once", "serial"])
def test_all_machines_begin_before_any_is_waited_for(
    site: Site, words: tuple[str, ...], option: str
) -> None:
    if option:
        words = (*words, "-e", f"airseed_option={option}")
    ran = site.play(*words)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    begun = [line.rstrip() for line in site.log[:3]]
    assert sorted(begun) == [f"{name}.sh --no-wait {option}".rstrip() for name in NODES]
    assert sorted(site.log[3:]) == [f"{name}.sh " for name in NODES]
    assert {name: told["changed"] for name, told in recap(ran).items()} == dict.fromkeys(NODES, 1)
    for name in NODES:
        path = site.change / "results" / f"{name}.json"
        assert json.loads(path.read_text()) == {"format": 1, "node": name, "state": "done"}
        assert path.stat().st_mode & 0o777 == 0o600
    before = site.log
    again = site.play(*words)
    assert again.returncode == 0, again.stdout + again.stderr
    assert {name: told["changed"] for name, told in recap(again).items()} == dict.fromkeys(NODES, 0)
    # each is asked whether it is this very change that it knows, and none begins again
    assert sorted(site.log[len(before) :]) == [f"{name}.sh " for name in NODES]


def test_a_machine_that_fails_says_why_and_the_next_run_goes_on(site: Site) -> None:
    broken = site.folder / "machines/k8s02/state/broken"
    broken.touch()
    ran = site.play()
    assert ran.returncode == 2
    assert "step images failed" in ran.stdout
    told = recap(ran)
    assert {name: told[name]["failed"] for name in NODES} == {"k8s01": 0, "k8s02": 1, "k8s03": 0}
    assert json.loads((site.change / "results/k8s02.json").read_text())["state"] == "running"
    broken.unlink()
    ran = site.play()
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert recap(ran)["k8s01"]["changed"] == 0
    assert json.loads((site.change / "results/k8s02.json").read_text())["state"] == "done"

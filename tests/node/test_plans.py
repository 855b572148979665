"""Plans: what they may name, what a step reads, and work that an image brings along."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from builder import assets

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Machine

SCRIPTS = assets.tree("cloudinit-templates") / "node"
PLANS = sorted((SCRIPTS / "plans").iterdir())
STEPS = sorted((SCRIPTS / "steps").iterdir())
REPORTING = {"common", "plan", "result", "stamps", "values"}
"""Libraries that every step has: they say who it is and find the values, and decide no work."""
KEEPERS = {"kube-vip", "keepalived", "local-proxy"}
"""Libraries of which a node has the one that keeps its endpoint up."""
OF_A_NODE = {
    *("NODE", "ROLE", "GENERATION", "ADDRESS", "ADDRESSES", "PEERS", "CONTROL_PLANES", "WINDOW"),
    *("UNTAINT", "NEED_MIB", "NTP", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ENDPOINT"),
}
"""Values of one machine or of what is around it, which no image can know."""
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def steps(plan: Path) -> list[str]:
    return [line for line in plan.read_text().splitlines() if not line.startswith("#")]


def setting(path: Path, name: str) -> set[str]:
    return {
        word
        for line in re.findall(rf"^# {name}: (.*)$", path.read_text(), re.MULTILINE)
        for word in line.split()
    }


def declared(path: Path) -> set[str]:
    return setting(path, "reads") | setting(path, "uses")


def sources(path: Path) -> set[Path]:
    """Return a script and all that it sources or runs, the libraries of every step apart."""
    seen, waiting = {path}, [path]
    while waiting:
        text = waiting.pop().read_text()
        needs = re.findall(r"^need (.*)$", text, re.MULTILINE)
        names = {name for line in needs for name in line.split()} - REPORTING
        names |= KEEPERS if 'need "$AIRSEED_ENDPOINT_BY"' in text else set()
        new = {SCRIPTS / "lib" / f"{name}.sh" for name in names}
        new |= {SCRIPTS / name for name in re.findall(r'"\$LIBEXEC/(actions/\w+)"', text)}
        waiting += new - seen
        seen |= new
    return seen


def read(path: Path, values: set[str]) -> set[str]:
    """Return the values and the files of /etc/airseed that a script or its libraries read."""
    text = "\n".join(
        re.sub(r"(^|\s)#.*", "", line)
        for file in sources(path)
        for line in file.read_text().splitlines()
        if not re.match(r"\s*rm ", line)
    )
    names = set(re.findall(r"AIRSEED_([A-Z_]+)", text)) & values
    # three are taken by name, in a loop
    names |= set(re.findall(r"\b[A-Z]+_PROXY\b", text)) & values
    return names | set(re.findall(r"\$ETC/([a-z][\w-]*\.[a-z]+|hosts\b)", text))


@pytest.fixture(scope="module")
def values() -> set[str]:
    loop = re.search(
        r"for name in ([A-Z_\s\\]+)\$CHANGE_VALUES;", (SCRIPTS / "lib/values.sh").read_text()
    )
    of_changes = re.findall(
        r"^CHANGE_VALUES=['\"](?:\$CHANGE_VALUES )?([A-Z_ ]+)",
        (SCRIPTS / "lib/plan.sh").read_text(),
        re.MULTILINE,
    )
    assert loop
    assert len(of_changes) == 2
    return set(f"{loop[1]} {' '.join(of_changes)}".replace("\\", "").split())


@pytest.mark.parametrize("plan", PLANS, ids=lambda path: path.name)
def test_a_plan_names_steps_that_exist_once(plan: Path) -> None:
    names = steps(plan)
    assert len(names) == len(set(names))
    assert {*names} <= {path.stem for path in STEPS}
    assert len(setting(plan, "values")) == 1
    assert setting(plan, "done")


def test_every_step_is_in_a_plan() -> None:
    assert {path.stem for path in STEPS} == {name for plan in PLANS for name in steps(plan)}


def test_a_seed_has_what_it_needs_and_nothing_that_only_changes_do() -> None:
    scripts = {
        path for path in SCRIPTS.rglob("*") if path.is_file() and path.read_bytes()[:2] == b"#!"
    }
    of_changes = {path for path in scripts if "none" in setting(path, "seed")}
    started = {SCRIPTS / f"lib/{name}.sh" for name in REPORTING} | {SCRIPTS / "run"}
    started |= {path for path in scripts - of_changes if path.parent.name == "actions"}
    for plan in ("first-boot", "bake"):
        started |= {SCRIPTS / f"steps/{name}.sh" for name in steps(SCRIPTS / "plans" / plan)}
    assert scripts - of_changes == {path for script in started for path in sources(script)}


@pytest.mark.parametrize("step", STEPS, ids=lambda path: path.stem)
def test_a_step_declares_all_that_it_reads_and_no_more(step: Path, values: set[str]) -> None:
    assert re.search(r"^# reads: \S", step.read_text(), re.MULTILINE)
    assert declared(step) == read(step, values)


def test_a_step_that_bakes_needs_nothing_of_a_node(values: set[str]) -> None:
    assert values >= OF_A_NODE
    for name in steps(SCRIPTS / "plans/bake"):
        assert declared(SCRIPTS / f"steps/{name}.sh") & OF_A_NODE == set()


@pytest.fixture
def baked(first: Machine) -> Machine:
    """Return the first machine, made from an image that the plan ``bake`` has been run on."""
    common = {"REGISTRY": "registry.lan/k8s", "PACKAGES": "kubeadm-1.18.5-0", "SUMS": EMPTY}
    first.set(CNI="none", **common)
    first.write("opt/airseed/bundle/SHA256SUMS", "")
    first.write("joined-control-planes", "node/k8s01\n")
    lines = [
        f"AIRSEED_{name}='{first.values[name]}'\n"
        for name in (
            "RUNTIME",
            "CRI_SOCKET",
            "CGROUP_DRIVER",
            "SANDBOX_IMAGE",
            "POD_SUBNETS",
            "MADE_BYTES",
        )
    ]
    lines += [f"AIRSEED_{name}='{value}'\n" for name, value in common.items()]
    first.write("etc/airseed/image.env", "".join(lines) + "AIRSEED_IMAGES='control-plane'\n")
    node = first.root / "etc/airseed/node.env"
    seed = node.read_text()
    node.unlink()
    ran = first.run("run", "bake")
    assert ran.returncode == 0, ran.stdout
    assert "airseed: the image has all that can be in it, after " in ran.stdout
    assert (first.result["plan"], first.result["state"]) == ("bake", "done")
    node.write_text(seed)
    (first.folder / "calls").unlink()
    return first


def test_what_an_image_came_to_says_nothing_of_a_machine(baked: Machine) -> None:
    """Whoever waits for a node reads its status before first boot has written one."""
    waiting = baked.run("actions/status")
    assert waiting.returncode == 3
    assert "airseed has not started on this machine" in waiting.stdout
    (baked.root / "etc/airseed/node.env").unlink()
    image = baked.run("actions/status")
    assert image.returncode == 0
    assert "done: the image has all that can be in it" in image.stdout


def announced_steps(out: str) -> list[str]:
    return re.findall(r"^airseed: step (\w+)$", out, re.MULTILINE)


def test_what_an_image_has_is_not_done_again(baked: Machine) -> None:
    ran = baked.boot()
    assert ran.returncode == 0, ran.stdout
    first = steps(SCRIPTS / "plans/first-boot")
    done = steps(SCRIPTS / "plans/bake")
    assert announced_steps(ran.stdout) == [name for name in first if name not in done]
    assert baked.called("yum") == baked.called("modprobe") == []
    assert [step["name"] for step in baked.result["steps"]] == first
    assert baked.result["plan"] == "first-boot"
    assert baked.result["waits"] == []


def test_other_values_than_the_images_mean_other_work(baked: Machine) -> None:
    baked.set(SANDBOX_IMAGE="registry.lan/k8s/pause:3.2")
    assert [
        name for name in announced_steps(baked.boot().stdout) if name in {"host", "runtime"}
    ] == ["runtime"]


def test_an_images_runtime_starts_again_when_it_has_to_know_this_site(baked: Machine) -> None:
    """It runs before the seed's proxy is there, which it takes from its unit."""
    baked.set(HTTP_PROXY="http://proxy.lan:3128", NO_PROXY="10.0.0.1")
    ran = baked.boot()
    assert ran.returncode == 0, ran.stdout
    assert "runtime" in announced_steps(ran.stdout)
    assert ["systemctl", "restart", "docker.service"] in baked.calls


def test_nobody_but_root_can_guess_what_a_step_has_read(baked: Machine) -> None:
    modes = {path.stat().st_mode & 0o777 for path in (baked.state / "stamps").glob("step-*")}
    assert modes == {0o600}


def test_an_image_without_its_values_says_so(machine: Machine) -> None:
    assert machine.run("run", "bake").returncode == 1
    assert machine.result["message"].endswith("etc/airseed/image.env is missing or empty")


def test_an_unknown_plan_is_refused(machine: Machine) -> None:
    ran = machine.run("run", "bakee")
    assert (ran.returncode, ran.stdout) == (2, "airseed: there is no plan bakee\n")


@pytest.mark.parametrize("library", sorted((SCRIPTS / "lib").glob("*.sh")), ids=lambda p: p.stem)
def test_a_library_can_be_sourced_alone_and_twice(machine: Machine, library: Path) -> None:
    ran = machine.source(f"need {library.stem} {library.stem}; echo fine", library.stem)
    assert (ran.returncode, ran.stdout) == (0, "fine\n")

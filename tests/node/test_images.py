"""Images that were loaded from the bundle stay, and come back when they are gone."""

from __future__ import annotations

import fcntl
import hashlib
import tarfile
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    import sandboxes
    from conftest import Machine

CTR = ("ctr", "--namespace", "k8s.io")
NO_BUNDLE = (
    "no bundle was found: none in {}/opt/airseed/bundle, no disk that is one, and "
    "the seed names no URL"
)


@pytest.fixture(params=["docker", "containerd"])
def runtime(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def loaded(machine: Machine, sample: sandboxes.Sample, runtime: str) -> Machine:
    """Return a worker whose images were loaded from the bundle in its image."""
    machine.set(SUMS=hashlib.sha256(sample.layout.sums).hexdigest(), RUNTIME=runtime)
    with tarfile.open(sample.bundle) as tar:
        tar.extractall(machine.root / "opt/airseed/bundle", filter="data")
    ran = machine.boot("images")
    assert ran.returncode == 0, machine.result
    (machine.folder / "calls").unlink()
    return machine


def names(machine: Machine) -> list[str]:
    return sorted(line.split()[0] for line in (machine.root / "images").read_text().splitlines())


def take(machine: Machine, word: str) -> None:
    """Take images away as kubelet does, when nothing holds them any more."""
    file = machine.root / "images"
    kept = [line for line in file.read_text().splitlines(keepends=True) if word not in line]
    assert len(kept) < len(file.read_text().splitlines())
    file.write_text("".join(kept))


def look(machine: Machine) -> str:
    ran = machine.run("actions/images")
    assert ran.returncode == 0, ran.stdout
    return ran.stdout


def payload(machine: Machine) -> Path:
    return machine.root / "opt/airseed/bundle"


@pytest.mark.parametrize("runtime", ["docker"], indirect=True)
def test_docker_has_a_container_for_each_image(machine: Machine, loaded: Machine) -> None:
    """docker refuses to remove an image that a container has, even one that never ran."""
    held = [line.split()[1] for line in (machine.root / "containers").read_text().splitlines()]
    ids = {line.split()[1] for line in (loaded.root / "images").read_text().splitlines()}
    assert sorted(held) == sorted(ids)
    # docker system prune takes containers that do not run
    (loaded.root / "containers").write_text("17\n")
    look(loaded)
    created = loaded.called("docker", "create")
    assert {call[-2] for call in created} == ids
    for call in created:
        assert f"airseed.holds={call[-2]}" in call
        assert call[call.index("--network") + 1] == "none"
    (loaded.folder / "calls").unlink()
    look(loaded)
    assert loaded.called("docker", "create") == []


@pytest.mark.parametrize("runtime", ["containerd"], indirect=True)
def test_containerd_keeps_what_a_name_led_to(machine: Machine, loaded: Machine) -> None:
    machine.write("var/lib/airseed/images/held", "others")
    look(loaded)
    labelled = loaded.called(*CTR, "content", "label")
    digests = {line.split()[2] for line in (loaded.root / "images").read_text().splitlines()}
    assert {call[-2] for call in labelled} == digests
    assert {call[-1] for call in labelled} == {"containerd.io/gc.root=airseed"}
    pinned = loaded.called(*CTR, "images", "label")
    assert sorted({call[-2] for call in pinned}) == names(loaded)
    assert {call[-1] for call in pinned} == {"io.cri-containerd.pinned=pinned"}
    (loaded.folder / "calls").unlink()
    look(loaded)
    assert loaded.calls == [[*CTR, "version"], [*CTR, "images", "check"]]


def test_the_holding_containers_are_nobodys(loaded: Machine, runtime: str) -> None:
    """A loading that was cut off begins with an empty store: ours are in nobody's way."""
    loaded.write("var/lib/airseed/images-load", "")
    assert loaded.boot("images").returncode == 0, loaded.result
    if runtime == "docker":
        assert loaded.called("docker", "rm")


def test_images_that_are_gone_come_back(loaded: Machine, runtime: str) -> None:
    before = names(loaded)
    take(loaded, "kube-proxy")
    said = look(loaded)
    assert said.startswith("these images are gone: k8s.gcr.io/kube-proxy:v1.18.5\n")
    assert names(loaded) == before
    assert "trouble" not in loaded.run("actions/status").stdout
    if runtime == "docker":  # no other was loaded again
        assert len(loaded.called("docker", "load")) == 1
    (loaded.folder / "calls").unlink()
    look(loaded)
    assert not loaded.called("docker", "load")
    assert not loaded.called(*CTR, "images", "import")


@pytest.mark.parametrize("runtime", ["docker"], indirect=True)
def test_a_name_alone_needs_no_bundle(machine: Machine, loaded: Machine) -> None:
    """kubelet takes all names of an image but the last before docker refuses."""
    before = names(machine)
    file = loaded.root / "images"
    file.write_text(file.read_text().replace("k8s.gcr.io/kube-proxy:v1.18.5", "kept.lan/other:1"))
    payload(loaded).rename(loaded.folder / "away")
    look(loaded)
    assert sorted({*names(loaded)} - {"kept.lan/other:1"}) == before
    assert loaded.called("docker", "load") == []
    assert loaded.result["trouble"] == ""


@pytest.mark.parametrize("runtime", ["containerd"], indirect=True)
def test_containerd_names_what_it_kept(machine: Machine, loaded: Machine) -> None:
    before = names(machine)
    take(loaded, "k8s.gcr.io")
    payload(loaded).rename(loaded.folder / "away")
    look(loaded)
    assert names(loaded) == before
    assert loaded.result["trouble"] == ""


@pytest.mark.parametrize("runtime", ["docker"], indirect=True)
def test_without_a_bundle_it_is_said_until_there_is_one(machine: Machine, loaded: Machine) -> None:
    stamped = machine.result
    take(loaded, "kube-proxy")
    away = payload(loaded).rename(loaded.folder / "away")
    look(loaded)
    assert loaded.result["trouble"] == (
        "these images are gone, and no pod can start from them: k8s.gcr.io/kube-proxy:v1.18.5: "
        f"{NO_BUNDLE.format(loaded.root)}"
    )
    assert loaded.result["trouble_hint"] == (
        "attach bundle.tar as a disk, or serve its unpacked content at the seed's URL; "
        "they are loaded within a minute of their bundle being at hand"
    )
    assert {**loaded.result, "trouble": "", "trouble_hint": ""} == stamped
    status = loaded.run("actions/status")
    assert f"trouble: {loaded.result['trouble']}\n" in status.stdout
    assert f"hint: {loaded.result['trouble_hint']}\n" in status.stdout
    assert "trouble: these images are gone" in (loaded.state / "status.txt").read_text()
    # what the runner says meanwhile has it, too
    loaded.boot("before")
    assert loaded.result["trouble"]
    away.rename(payload(loaded))
    assert "the trouble is over" in look(loaded)
    assert loaded.result["trouble"] == ""
    assert "trouble" not in loaded.run("actions/status").stdout
    assert "trouble" not in (loaded.state / "status.txt").read_text()


def test_nothing_is_looked_for_where_a_registry_has_all(machine: Machine) -> None:
    machine.set(REGISTRY="registry.lan/k8s")
    assert machine.boot("images").returncode == 0
    assert look(machine) == ""
    assert machine.called("docker") == []


def test_a_runtime_that_does_not_answer_is_no_loss(loaded: Machine, runtime: str) -> None:
    loaded.stand_in("docker" if runtime == "docker" else "ctr", "exit 1")
    assert look(loaded) == ""
    assert loaded.result["trouble"] == ""


@pytest.mark.parametrize(
    ("keep", "kept"), [("1048576000", 1048576000), ("0%", 0), ("10 100% 7", None)]
)
def test_room_that_kubelet_wants_is_counted(machine: Machine, keep: str, kept: int | None) -> None:
    """A disk on which all fits, but which kubelet finds too full, evicts for ever."""
    machine.set(KEEP_FREE=keep)
    machine.write("etc/airseed/kubeadm.yaml", "kind: JoinConfiguration\n")
    ran = machine.boot("preflight")
    if kept == 0:
        assert ran.returncode == 0, ran.stdout
        return
    assert ran.returncode == 1
    message = machine.result["message"]
    assert "/var/lib has " in message
    assert "this node needs 1 MiB for packages and images and " in message
    if kept is not None:
        assert message.endswith(f"and {kept} MiB below which kubelet evicts pods")


@pytest.mark.parametrize(
    ("free", "where"),
    [((9000, 1500), ""), ((3000, 9000), "/data/docker"), ((9000, 500), "/var/lib")],
)
def test_images_on_a_disk_of_their_own_are_counted_there(
    machine: Machine, free: tuple[int, int], where: str
) -> None:
    machine.set(NEED_MIB="4000", KEEP_FREE="100")
    machine.write("etc/airseed/kubeadm.yaml", "kind: JoinConfiguration\n")
    machine.write("etc/docker/daemon.json", '{"data-root": "/data/docker"}')
    (machine.root / "data").mkdir()
    stat = machine.folder / "centos/stat"
    device = '"-c %d "*/data*) echo 7 ;; "-c %d "*) echo 8 ;;'
    machine.stand_in("stat", f'case "$*" in {device} *) exec "{stat}" "$@" ;; esac')
    df = f"case $4 in */data*) echo x 9999 1 {free[0]} ;; *) echo x 9999 1 {free[1]} ;; esac"
    machine.stand_in("df", f"echo head; {df}")
    ran = machine.boot("preflight")
    assert (ran.returncode == 0) == (not where), ran.stdout
    if where:
        assert machine.result["message"].startswith(f"{where} has ")


@pytest.mark.parametrize("mark", ["images-load", "images-return"])
def test_an_interrupted_load_is_mended_beside_pods(
    loaded: Machine, runtime: str, mark: str
) -> None:
    """What was there before stays; all that the interrupted time may have left half is new."""
    lines = (loaded.root / "images").read_text().splitlines()
    wanted = (loaded.state / "images/wanted").read_text().splitlines()
    kept = wanted[0]
    loaded.write(f"var/lib/airseed/{mark}", f"{kept}\n")
    loaded.write("images", lines[0] + "\n")
    containers = loaded.root / "containers"
    before = containers.read_text() if containers.exists() else ""
    containers.write_text(before + "pod\n")
    ran = loaded.boot("images")
    assert ran.returncode == 0, loaded.result
    program = ("docker",) if runtime == "docker" else CTR
    load = (*program, "load") if runtime == "docker" else (*program, "images", "import")
    assert len(loaded.called(*load)) == 2
    remove = (*program, "rmi") if runtime == "docker" else (*program, "images", "rm")
    removed = {call[-1] for call in loaded.called(*remove)}
    assert removed == {line.split()[0] for line in wanted[1:]}
    assert sorted((loaded.root / "images").read_text().splitlines()) == sorted(lines)
    assert not [*loaded.state.glob("images-*")]


def test_what_a_power_cut_interrupts_is_brought_back_anew(loaded: Machine, runtime: str) -> None:
    """The runtime has records of what is not all on the disk: no pod may have it."""
    before = sorted((loaded.root / "images").read_text().splitlines())
    program = ("docker",) if runtime == "docker" else CTR
    load = (*program, "load") if runtime == "docker" else (*program, "images", "import")
    remove = (*program, "rmi") if runtime == "docker" else (*program, "images", "rm")
    wanted = (loaded.state / "images/wanted").read_text().splitlines(keepends=True)
    whole = "".join(line for line in wanted if "kube-proxy" not in line)
    if runtime == "docker":  # to bring a name back is enough for the other's stand-in
        take(loaded, "kube-proxy")
        copy = f'cp "{loaded.state}/images-return" "{loaded.folder}/mark" 2>/dev/null'
        loaded.stand_in("sync", copy)
        look(loaded)
        assert not (loaded.state / "images-return").exists()
        assert sorted((loaded.folder / "mark").read_text()) == sorted(whole)

    # the power goes when the image has its name, and before all of it is on the disk
    loaded.write("var/lib/airseed/images-return", whole)
    away = payload(loaded).rename(loaded.folder / "away")
    (loaded.folder / "calls").unlink(missing_ok=True)
    name = "k8s.gcr.io/kube-proxy:v1.18.5"
    assert look(loaded).startswith(f"these images are gone, or torn by a power cut: {name}\n")
    assert name in loaded.result["trouble"]
    assert "torn by a power cut" in loaded.result["trouble"]
    assert not loaded.called(*remove)
    assert not loaded.called("systemctl", "stop", "kubelet.service")
    away.rename(payload(loaded))
    look(loaded)
    assert len(loaded.called(*load)) == 2
    assert [call[-1] for call in loaded.called(*remove)] == [name]
    assert loaded.result["trouble"] == ""
    assert sorted((loaded.root / "images").read_text().splitlines()) == before
    assert not (loaded.state / "images-return").exists()
    words = [call[1:] for call in loaded.calls if call[0] == "systemctl" and "kubelet" in call[-1]]
    assert words[-2:] == [["stop", "kubelet.service"], ["start", "kubelet.service"]]
    (loaded.folder / "calls").unlink()
    look(loaded)
    assert not loaded.called(*load)


def test_what_a_change_leaves_behind_is_held_no_longer(loaded: Machine, runtime: str) -> None:
    """It stays while there is room: a workload may use it, and nobody could pull it again."""
    digest = "sha256:" + "9" * 64
    images = loaded.root / "images"
    images.write_text(f"{images.read_text()}k8s.gcr.io/old:1 {digest}\n")
    wanted = (loaded.state / "images/wanted").read_text()
    loaded.write("var/lib/airseed/images/before", f"k8s.gcr.io/old:1 {digest}\n{wanted}")
    before = names(loaded)
    ran = loaded.source("let_go_of_old", "images")
    assert ran.returncode == 0, ran.stdout
    assert names(loaded) == before
    if runtime == "docker":
        calls = loaded.called("docker", "rm")
    else:
        calls = loaded.called(*CTR, "content", "label")
    assert [call for call in calls if "9" * 12 in " ".join(call)]
    assert not loaded.called("docker", "rmi")
    assert not (loaded.state / "images/before").exists()


@pytest.mark.parametrize("runtime", ["docker"], indirect=True)
def test_the_timers_service_and_the_step_do_not_load_at_once(loaded: Machine) -> None:
    """Seen when docker was slow: each found the name taken that the other was about to make."""
    (loaded.root / "containers").write_text("")
    loaded.environment["AIRSEED_LOAD_PATIENCE"] = "1"
    with (loaded.state / "images.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert loaded.boot("images").returncode != 0
        assert look(loaded) == ""
    assert loaded.result["message"] == (
        "airseed-images.service has been bringing images back all the time"
    )
    assert loaded.called("docker", "create") == []
    ran = loaded.boot("images")
    assert ran.returncode == 0, loaded.result
    assert loaded.called("docker", "create")

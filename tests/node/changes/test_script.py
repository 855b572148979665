"""The script that brings a change to a machine."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from changes_node import DIGEST, ID, PLANES, SCRIPTS, finish, give, run_script, script

if TYPE_CHECKING:
    from api_server import Api
    from conftest import Machine


@pytest.fixture
def fresh(node: Machine) -> Machine:
    """Return a node on which systemd runs the change at once, and to its end."""
    text = script(node)
    shutil.rmtree(node.root / "etc/airseed/change")
    (node.folder / "NODE.sh").write_text(text)
    node.environment["CHANGED"] = f"{SCRIPTS}/actions/change"
    node.stand_in(
        "systemctl",
        "case $* in\n"
        '"start airseed-change.service") bash "$CHANGED" || true ;;\n'
        '"restart kubelet.service") echo 1.19.5 >"$R/kubelet-version" ;;\n'
        '"is-active airseed-change.service") exit 1 ;;\nesac',
    )
    return node


def test_the_script_makes_the_change_and_says_so_again(fresh: Machine, api: Api) -> None:
    fresh.stand_in("mv", f'exec "{fresh.folder}/centos/mv" "$@"')
    finish(api, *PLANES)
    ran = fresh.run(str(fresh.folder / "NODE.sh"))
    assert ran.returncode == 0, ran.stdout
    assert ran.stdout.endswith(f"airseed: {ID} is done\n")
    # SELinux lets systemd start nothing that comes from /var by a rename, which may be a disk, too
    paths = ([word for word in call if word.startswith("/")] for call in fresh.called("mv"))
    tops = [{Path(path).relative_to(fresh.root).parts[0] for path in one} for one in paths]
    assert {"usr"} in tops
    assert not [one for one in tops if len(one) != 1]
    assert "AIRSEED_KUBERNETES=1.19.5\n" in (fresh.root / "etc/airseed/node.env").read_text()
    assert (fresh.root / "usr/libexec/airseed/run").stat().st_mode & 0o777 == 0o755
    assert (fresh.root / "etc/airseed/change").stat().st_mode & 0o777 == 0o700
    assert (fresh.root / "etc/systemd/system/airseed-change.service").exists()
    again = fresh.run(str(fresh.folder / "NODE.sh"))
    assert (again.returncode, again.stdout) == (0, f"airseed: {ID} is done on k8s04\n")


def test_the_script_follows_what_systemd_starts_again(fresh: Machine, api: Api) -> None:
    """A step that was killed for want of memory ends the unit, and it comes again in a moment."""
    stamp = f"$R/var/lib/airseed/changes/{ID}/change"
    fresh.stand_in(
        "systemctl",
        f'case $* in is-active*) [ ! -e "$R/began" ] || echo x >{stamp}\n'
        ': >"$R/began" && echo activating && exit 3 ;; esac',
    )
    (fresh.state / f"changes/{ID}").mkdir(parents=True)
    ran = fresh.run(str(fresh.folder / "NODE.sh"))
    assert ran.returncode == 0, ran.stdout
    # and lays nothing down under its feet
    assert not (fresh.root / "etc/airseed/change").exists()


def test_the_script_of_a_change_that_fails_says_so(fresh: Machine, api: Api) -> None:
    fresh.environment["AIRSEED_TURN_PATIENCE"] = "0"
    ran = fresh.run(str(fresh.folder / "NODE.sh"))
    assert ran.returncode == 1
    assert f"airseed: {ID} is not done on k8s04" in ran.stdout
    finish(api, *PLANES)
    assert fresh.run(str(fresh.folder / "NODE.sh")).returncode == 0


@pytest.mark.parametrize(
    ("values", "said", "hint"),
    [
        (
            {"NODE": "k8s05"},
            "this machine is k8s04, and this change is for k8s05",
            "run k8s04.sh of the same folder here",
        ),
        (
            {"AUTHORITY": "f" * 64},
            "this machine is in another cluster than c: its ca.crt is not that of this change",
            "compare sha256sum /etc/kubernetes/pki/ca.crt with that of a control plane of c",
        ),
    ],
)
def test_the_script_refuses_other_machines(
    node: Machine, values: dict[str, str], said: str, hint: str
) -> None:
    text = script(node, **values)
    shutil.rmtree(node.root / "etc/airseed/change")
    ran = run_script(node, text)
    assert ran.returncode == 2
    assert ran.stdout == f"error: {said}\nhint: {hint}\n"
    assert node.called("systemctl") == []
    assert not (node.root / "etc/airseed/change").exists()


def test_the_script_refuses_a_second_change(node: Machine) -> None:
    ran = run_script(node, script(node, CHANGE="002-renew"))
    assert ran.returncode == 2
    assert ran.stdout.startswith(f"error: another change is under way on this machine: {ID}\n")
    # what takes the place of another need not be waited for
    node.stand_in("systemctl", "case $* in is-active*) exit 1 ;; esac")
    ran = run_script(node, script(node, CHANGE="002-renew"), "--instead", "--no-wait")
    assert (ran.returncode, ran.stdout) == (0, "")
    assert (node.root / "etc/airseed/change/instead").exists()
    assert (node.root / "etc/airseed/change/id").read_text().startswith("002-renew ")
    # also while that one waits for its turn
    node.stand_in(
        "systemctl",
        'case $* in stop*) : >"$R/stopped" ;;\n'
        'is-active*) [ -e "$R/stopped" ] || echo active ;; esac',
    )
    ran = run_script(node, script(node, CHANGE="003-renew"), "--instead", "--no-wait")
    assert (ran.returncode, ran.stdout) == (0, "")
    assert (node.root / "etc/airseed/change/id").read_text().startswith("003-renew ")
    # and where its script was cut off between two names
    text = script(node, CHANGE="002-renew")
    (node.root / "etc/airseed/change").rename(node.root / "etc/airseed/change.old")
    ran = run_script(node, text, "--no-wait")
    assert ran.stdout.startswith("error: another change is under way on this machine: 003-renew")
    ran = run_script(node, text, "--nowait")
    assert (ran.returncode, ran.stdout.partition("\n")[0]) == (
        2,
        "error: --nowait is not an option",
    )


def test_a_change_of_the_same_name_and_other_content_is_another_one(
    fresh: Machine, api: Api
) -> None:
    finish(api, *PLANES)
    text = (fresh.folder / "NODE.sh").read_text()
    assert run_script(fresh, text).returncode == 0
    said = (
        f"error: this machine knows another change of the name {ID}: {'d' * 12}, and this one "
        f"is {'e' * 12}\nhint: what was done there would pass for done here: write this one by "
        "a name of its own, with airseed changes --write --instead\n"
    )
    for words in ((), ("--instead",)):
        ran = run_script(fresh, text.replace(DIGEST, "e" * 64), *words)
        assert (ran.returncode, ran.stdout) == (2, said)
    # what is done is said while the next one is under way, too
    give(fresh, name="002-renew", digest="e" * 64)
    again = run_script(fresh, text)
    assert (again.returncode, again.stdout) == (0, f"airseed: {ID} is done on k8s04\n")


def test_the_script_says_how_it_is_used(node: Machine) -> None:
    for option in ("-h", "--help"):
        ran = run_script(node, script(node), option)
        assert ran.returncode == 0
        assert ran.stdout.startswith("usage: NODE.sh [--no-wait | --follow] [--instead]\n\nMake ")
        assert "\n  --instead   take the place of a change that was given up\n" in ran.stdout

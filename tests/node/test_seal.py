"""The seal of an image and its check, on a machine that is a folder."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from builder.assets import tree

if TYPE_CHECKING:
    from pathlib import Path

PACKER = tree("packer")
TRACES = (PACKER / "traces").read_text("utf-8").split()
CHECKS = """\
package kubelet 1.18.5-0
package docker-ce 3:19.03.9-3.el7
service docker.service enabled
service firewalld.service disabled
sysctl net.ipv4.ip_forward 1
module overlay
swap none
docker-image k8s.gcr.io/pause:3.2 sha256:aa
containerd-image k8s.gcr.io/pause:3.2 sha256:bb
port 6443 free
file /usr/libexec/airseed/run
empty /etc/machine-id
"""
STAND_INS = {
    # as rpm itself fills this form, and goss prints a version
    "rpm": '[ "$*" = "-q --qf %|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE} ${@: -1}" ] || exit 2; '
    '[ "${RPM:-}" != none ] || { echo "package ${@: -1} is not installed"; exit 1; }; '
    'case ${@: -1} in docker-ce) echo 3:19.03.9-3.el7 ;; *) echo "${RPM:-0:1.18.5-0}" ;; esac',
    "systemctl": '[ "$1" != is-enabled ] || { [ "$2" = docker.service ] && echo ${UNIT:-enabled}; '
    "[ $2 = firewalld.service ] && echo ${WALL:-disabled}; exit 0; }",
    "sysctl": 'echo "${KEY:-1}"',
    "docker": 'echo "${IMAGE:-sha256:aa}"',
    "ctr": 'printf "REF TYPE DIGEST\\nx y %s\\n" "${IMAGE:-sha256:bb}"',
    "yum": "true",
    "fstrim": "true",
}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Lay down a machine that was baked, with every trace that a build can leave."""
    root = tmp_path / "root"
    for path, text in {
        "etc/airseed/image.json": "{}\n",
        "etc/airseed/image.env": "AIRSEED_KEEP=''\n",
        "etc/airseed/traces": "\n".join(TRACES) + "\n",
        "etc/airseed/image.checks": CHECKS + "".join(f"absent {trace}\n" for trace in TRACES),
        "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
        "etc/fstab": "/dev/vda1 / xfs defaults 0 0\n#/dev/vda2 none swap sw 0 0\n",
        "etc/sysconfig/network-scripts/ifcfg-eth0": "DEVICE=eth0\nHWADDR=52:54:00:0:0:1\nUUID=x\n",
        "proc/swaps": "Filename Type Size Used Priority\n",
        "proc/net/tcp": "  sl\n   0: 00000000:0016 00000000:0000 0A\n   1: 0100007F:192B 0:0 01\n",
        "proc/net/tcp6": "  sl\n",
        "sys/module/overlay/refcnt": "1",
        "usr/libexec/airseed/run": "#!/bin/bash\n",
        "opt/airseed/bundle/SHA256SUMS": "",
        "opt/airseed/bundle/manifests/calico.yaml": "",
        "opt/airseed/bundle/images/oci-layout": "",
        "var/log/messages": "much\n",
        "var/log/messages-20260101": "more\n",
        "home/me/notes": "mine\n",
        "var/lib/airseed/stamps/step-host": "airseed 1 ...\n",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    for trace in TRACES:
        path = root / trace.replace("*", "x").lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_text("secret\n")
    (root / "usr/bin").mkdir(parents=True)
    shutil.copy(PACKER / "scripts/airseed-image-check", root / "usr/bin")
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, body in STAND_INS.items():
        (programs / name).write_text(f"#!/bin/bash\n{body}\n")
        (programs / name).chmod(0o755)
    return root


def run(image: Path, script: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": f"{image.parent / 'programs'}:{os.environ['PATH']}",
        "AIRSEED_ROOT": str(image),
        **more,
    }
    return subprocess.run(
        ["bash", script, *words], env=environment, capture_output=True, text=True, check=False
    )


def seal(image: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return run(image, PACKER / "scripts/seal.sh", **more)


def check(image: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    return run(image, image / "usr/bin/airseed-image-check", *words, **more)


def test_the_seal_removes_all_that_it_is_to_remove_and_nothing_else(image: Path) -> None:
    count = 12 + len(TRACES)
    before = check(image)
    assert before.returncode == 1
    assert before.stdout.count("wrong: absent ") == len(TRACES)
    for _ in range(2):
        ran = seal(image)
        assert (ran.stdout, ran.stderr, ran.returncode) == (
            f"{count} of {count} checks are right\n", "", 0,
        )  # fmt: skip
    assert (image / "etc/machine-id").read_text() == ""
    assert (image / "var/log/messages").read_text() == ""
    assert not (image / "var/log/messages-20260101").exists()
    card = image / "etc/sysconfig/network-scripts/ifcfg-eth0"
    assert card.read_text() == "DEVICE=eth0\n"
    assert (image / "home/me/notes").read_text() == "mine\n"
    assert (image / "var/lib/airseed/stamps/step-host").exists()
    assert not (image / "opt/airseed/bundle/images").exists()
    assert (image / "opt/airseed/bundle/manifests/calico.yaml").exists()


def test_the_bundle_stays_where_cluster_yaml_says_so(image: Path) -> None:
    (image / "etc/airseed/image.env").write_text("AIRSEED_KEEP='1'\n")
    assert seal(image).returncode == 0
    assert (image / "opt/airseed/bundle/images/oci-layout").exists()


def test_what_was_not_baked_is_not_sealed(image: Path) -> None:
    (image / "etc/airseed/image.json").unlink()
    ran = seal(image)
    assert ran.returncode == 1
    assert "this machine is not baked" in ran.stderr
    assert (image / "etc/machine-id").read_text() != ""


def test_without_a_list_there_is_no_verdict(image: Path) -> None:
    (image / "etc/airseed/image.checks").unlink()
    assert check(image).returncode == 2


BROKEN = (
    ("package kubelet: found 1.19.0-0, expected 1.18.5-0", "", {"RPM": "1.19.0-0"}),
    ("service docker.service: found disabled, expected enabled", "", {"UNIT": "disabled"}),
    ("service firewalld.service: found enabled, expected disabled", "", {"WALL": "enabled"}),
    ("sysctl net.ipv4.ip_forward: found 0, expected 1", "", {"KEY": "0"}),
    ("module overlay: found not loaded", "rm -r sys/module/overlay", {}),
    ("swap none: found /dev/vda2 ", "echo /dev/vda2 partition 1 0 -2 >> proc/swaps", {}),
    ("swap none: found /swap ", "echo /swap none swap sw 0 0 >> etc/fstab", {}),
    ("port 6443: found taken, expected free", "echo ' 2: 0:192B 0:0 0A' >> proc/net/tcp6", {}),
    ("file /usr/libexec/airseed/run: found not there", "rm usr/libexec/airseed/run", {}),
    ("empty /etc/machine-id: found 2 bytes", "echo x > etc/machine-id", {}),
    (
        "absent /etc/ssh/ssh_host_*: found /etc/ssh/ssh_host_rsa_key",
        "touch etc/ssh/ssh_host_rsa_key", {},
    ),
    ("absent /root/.ssh: found /root/.ssh", "mkdir root/.ssh", {}),
    ("empty /etc/machine-id: found not there", "rm -f etc/machine-id", {}),
    ("swap none: found /dev/vdb ", "printf '/dev/vdb\\tnone\\tswap\\n' >> etc/fstab", {}),
    ("absent /etc/airseed/pki: found /etc/airseed/pki", "ln -s nowhere etc/airseed/pki", {}),
    (
        "absent /etc/kubernetes/*.conf: found /etc/kubernetes/admin.conf",
        "ln -s nowhere etc/kubernetes/admin.conf", {},
    ),
    (
        "absent /home/*/.bash_history: found /home/me/.bash_history /home/you/.bash_history",
        "mkdir home/you; touch home/{me,you}/.bash_history", {},
    ),
    (
        "absent /var/lib/NetworkManager/*.lease: found /var/lib/NetworkManager/a b.lease",
        "touch 'var/lib/NetworkManager/a b.lease'", {},
    ),
    ("service docker.service: found not-found, expected enabled", "", {"UNIT": " "}),
    ("absent /etc/airseed/node.env: found /etc/airseed/node.env", "touch etc/airseed/node.env", {}),
)  # fmt: skip


@pytest.mark.parametrize(("line", "damage", "more"), BROKEN, ids=[one[0] for one in BROKEN])
def test_each_thing_that_is_broken_is_named(
    image: Path, line: str, damage: str, more: dict[str, str]
) -> None:
    assert seal(image).returncode == 0
    subprocess.run(["bash", "-ec", damage], cwd=image, check=True)
    ran = check(image, **more)
    assert ran.returncode == 1
    assert ran.stdout.splitlines()[:-1] == [f"wrong: {line}"]


def test_an_image_by_another_digest_is_named(image: Path) -> None:
    seal(image)
    ran = check(image, IMAGE="sha256:cc")
    assert ran.stdout.splitlines()[:-1] == [
        "wrong: docker-image k8s.gcr.io/pause:3.2: found sha256:cc, expected sha256:aa",
        "wrong: containerd-image k8s.gcr.io/pause:3.2: found sha256:cc, expected sha256:bb",
    ]

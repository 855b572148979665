"""A runtime's configuration among ``machine.files``: what first boot would stop at is said here."""

from __future__ import annotations

import plans
import pytest
import yaml

from builder.errors import DocumentError
from builder.formats import cluster as cluster_format

DOCKER, CONTAINERD = "/etc/docker/daemon.json", "/etc/containerd/config.toml"
OPTIONS = '"exec-opts": ["native.cgroupdriver=systemd"]'
RUNC = "[plugins.cri.containerd.runtimes.runc.options]\n"


def found(path: str, content: str, *more: str) -> list[str]:
    files = [{"path": path, "content": content}, *({"path": one, "content": "x"} for one in more)]
    text = yaml.safe_dump(
        {
            "kubernetes": "1.23.17",
            "cni": "none",
            "runtime": "docker" if path == DOCKER else "containerd",
            "nodes": [{"name": "a", "role": "control-plane", "address": "192.0.2.1"}],
            "machine": {"files": files},
        }
    )
    try:
        cluster_format.read(text, "cluster.yaml", catalog=plans.catalog())
    except DocumentError as error:
        return [fault.what for fault in error.faults]
    return []


@pytest.mark.parametrize(
    ("path", "content", "what"),
    [
        (DOCKER, "{", "docker would not start with it: "),
        (DOCKER, "[" * 100_000, "docker would not start with it: "),
        (DOCKER, "[]", "docker would not start with it: it is not an object"),
        (DOCKER, "{}", "the same cgroup driver"),
        (DOCKER, '{"exec-opts": ["native.cgroupdriver=cgroupfs"]}', "the same cgroup driver"),
        (DOCKER, f'{{{OPTIONS}, "hosts": ["fd://"]}}', "docker would not start with hosts"),
        (CONTAINERD, "a = ", "containerd would not start with it: "),
        (
            CONTAINERD,
            "a." * 200_000 + "a = 1",
            "containerd would not start with it: a key has more than 64 parts",
        ),
        (CONTAINERD, 'disabled_plugins = ["cri"]', "cri is disabled"),
        (CONTAINERD, "version = 2", "leave cgroups to systemd"),
        (CONTAINERD, f"{RUNC}SystemdCgroup = false", "leave cgroups to systemd"),
    ],
)
def test_what_first_boot_would_stop_at(path: str, content: str, what: str) -> None:
    [fault] = found(path, content)
    assert what in fault


@pytest.mark.parametrize(
    ("path", "content"),
    [
        (DOCKER, f"{{{OPTIONS}}}"),
        (DOCKER, f'{{{OPTIONS}, "data-root": "/data", "log-driver": "journald"}}'),
        (CONTAINERD, f"{RUNC}SystemdCgroup = true"),
        (CONTAINERD, "[plugins.cri]\nsystemd_cgroup = true"),
        (CONTAINERD, 'imports = ["/etc/containerd/conf.d/*.toml"]'),
        (CONTAINERD, f'disabled_plugins = ["io.x.descriptor"]\n{RUNC}SystemdCgroup = true'),
    ],
)
def test_what_goes_with_it(path: str, content: str) -> None:
    assert found(path, content) == []


def test_a_unit_of_the_users_may_leave_hosts_to_the_file() -> None:
    content = f'{{{OPTIONS}, "hosts": ["fd://"]}}'
    assert found(DOCKER, content, "/etc/systemd/system/docker.service.d/20-hosts.conf") == []

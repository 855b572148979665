"""dockerd and containerd with state of their own, which leave nothing behind."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interop.programs import PATH, daemon, environment, run, unmount_below

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

_CAP_SYS_RESOURCE = 24
_RUNC = '''\
#!/usr/bin/python3
"""Start runc without what a host that withholds CAP_SYS_RESOURCE forbids."""
import json, os, sys
from pathlib import Path

for before, word in zip(sys.argv, sys.argv[1:]):
    path = Path(word, "config.json")
    if before in ("--bundle", "-b") and path.is_file():
        config = json.loads(path.read_text())
        process = config["process"]
        process["oomScoreAdj"] = max(process.get("oomScoreAdj") or 0, 0)
        for names in (process.get("capabilities") or {}).values():
            names[:] = [name for name in names if name != "CAP_SYS_RESOURCE"]
        path.write_text(json.dumps(config))
os.execv("/usr/sbin/runc", ["runc", *sys.argv[1:]])
'''
_CONTAINERD = """\
version = 2
root = "{folder}/root"
state = "{folder}/state"
oom_score = 0
{cri}
[grpc]
  address = "{folder}/sock"
[ttrpc]
  address = "{folder}/ttrpc"
[plugins."io.containerd.internal.v1.opt"]
  path = "{folder}/opt"
"""
_WITHOUT_CRI = 'disabled_plugins = ["io.containerd.grpc.v1.cri"]'
_CRI = """\
[plugins."io.containerd.grpc.v1.cri"]
  disable_tcp_service = true
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{hosts}"
"""


@dataclass(frozen=True)
class Engine:
    """Hold a client of a running engine."""

    client: tuple[str, ...]
    env: dict[str, str]

    def __call__(self, *words: str | Path, **how: Any) -> subprocess.CompletedProcess[str]:
        """Run the client."""
        return run(*self.client, *words, env=self.env, **how)


@contextmanager
def dockerd(*more: str) -> Iterator[Engine]:
    """Run docker without networks; nothing on this machine but its folder is touched."""
    with _folder() as (folder, env):
        socket = folder / "sock"
        client = Engine(("docker", "--host", f"unix://{socket}"), env)
        with daemon(
            "dockerd", "--host", f"unix://{socket}", "--data-root", folder / "data",
            "--exec-root", folder / "exec", "--pidfile", folder / "pid",
            "--bridge", "none", "--iptables=false", "--ip6tables=false", "--oom-score-adjust", "0",
            *more, env=env, log=folder / "log",
            ready=lambda: client("version", check=False).returncode == 0,
        ):  # fmt: skip
            yield client


@contextmanager
def containerd(*, hosts: Path | None = None) -> Iterator[Engine]:
    """Run containerd; its plugin for Kubernetes only where ``hosts`` says where registries are."""
    with _folder() as (folder, env):
        cri = _CRI.format(hosts=hosts) if hosts else ""
        text = _CONTAINERD.format(folder=folder, cri="" if hosts else _WITHOUT_CRI)
        (folder / "config.toml").write_text(text + cri, "utf-8")
        client = Engine(("ctr", "--address", str(folder / "sock")), env)
        with daemon(
            "containerd", "--config", folder / "config.toml",
            env=env, log=folder / "log",
            ready=lambda: client("version", check=False).returncode == 0,
        ):  # fmt: skip
            yield client


@contextmanager
def _folder() -> Iterator[tuple[Path, dict[str, str]]]:
    """Return a folder with a short name, since sockets have at most 107 characters."""
    with tempfile.TemporaryDirectory(prefix="airseed-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        env = environment(folder)
        if not _may_use_resources():
            wrapper = folder / "bin" / "runc"
            wrapper.parent.mkdir()
            wrapper.write_text(_RUNC, "utf-8")
            wrapper.chmod(0o755)
            env["PATH"] = f"{wrapper.parent}:{PATH}"
        try:
            yield folder, env
        finally:
            unmount_below(folder, env)


def _may_use_resources() -> bool:
    status = Path("/proc/self/status").read_text("utf-8")
    line = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(line.split()[1], 16) >> _CAP_SYS_RESOURCE & 1)

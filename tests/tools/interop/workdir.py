"""airseed's own way from cluster.yaml to a verified bundle, on real servers."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.formats import lock as lock_format
from interop.programs import environment, run

if TYPE_CHECKING:
    from pathlib import Path

    from builder.model.lock import Lock
    from interop.upstream import RealUpstream

_EXTRA = """
extra:
  images:
    - registry.example.com/team/tool:1
    - registry.example.com/team/lone:1
    - registry.example.com/team/old:1
    - {registry}/registry.example.com/team/direct:1
    - {pinned}
  packages: [{packages}]
  files:
    - {{source: '{web}/banner.txt', path: site/banner.txt}}
    - {{source: local.txt}}
  manifests: ['{web}/web.yaml']
"""


@dataclass
class Workdir:
    """Run airseed in one folder, as a user of these servers would."""

    upstream: RealUpstream
    folder: Path

    @property
    def env(self) -> dict[str, str]:
        home = self.folder.parent / f"{self.folder.name}-home"
        home.mkdir(exist_ok=True)
        return environment(
            home,
            DOCKER_CONFIG=str(self.upstream.servers.login),
            AIRSEED_CA_BUNDLE=str(self.upstream.servers.ca),
        )

    @property
    def bundle(self) -> Path:
        return self.folder / "bundle.tar"

    @property
    def lock(self) -> Lock:
        text = (self.folder / "cluster.lock").read_text("utf-8")
        return lock_format.parse(text, "cluster.lock")

    def write(self, *packages: str) -> None:
        """Write the walkthrough's cluster.yaml, for bare machines, with things of one's own."""
        self.folder.mkdir(exist_ok=True)
        self("init", "--example", "ha")
        (self.folder / "local.txt").write_text("a file beside cluster.yaml\n", "utf-8")
        path = self.folder / "cluster.yaml"
        servers = self.upstream.servers
        extra = _EXTRA.format(
            web=servers.tls,
            registry=servers.registry,
            pinned=self.upstream.pinned,
            packages=", ".join(packages),
        )
        text = path.read_text("utf-8")
        assert "base: core" in text
        path.write_text(text.replace("base: core", "base: empty") + extra, "utf-8")

    def lock_and_bundle(self) -> Workdir:
        """Lock and bundle."""
        self("lock", "--catalog", str(self.upstream.catalog))
        self("bundle")
        return self

    def unpack(self) -> Path:
        """Unpack the bundle with tar, as a user would."""
        folder = self.folder / "unpacked"
        folder.mkdir()
        run("tar", "-xf", self.bundle, "-C", folder, env=self.env)
        return folder

    def __call__(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run airseed; raise AssertionError unless it ends with this exit code."""
        done = subprocess.run(
            [sys.executable, "-m", "builder", *words],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, f"airseed {words}: exit {done.returncode}\n{done.stderr}"
        return done

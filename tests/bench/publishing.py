"""``airseed publish`` and ``mirror`` beside crane, skopeo and curl: the same images, one registry.

Each run fills a docker-registry that has nothing. ``python -m bench.publishing`` runs this alone.
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from interop.programs import daemon, free_port, listens

from bench import setup as servers
from bench.figures import Figure, table
from bench.timing import middle, settle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.setup import Setup
    from bench.timing import Took

_REGISTRY = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {data}}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""
_PUT = """\
# one upload, as a script by hand does it; $1 is the registry, $2 the blob's file
to=$(curl -sSf -o /dev/null -D - -X POST "http://$1/v2/all/blobs/uploads/" |
  tr -d '\\r' | sed -n 's/^[Ll]ocation: //p')
curl -sSf -T "$2" -H 'Content-Type: application/octet-stream' "$to&digest=sha256:${2##*/}"
"""
_RUNS = 5


class Publishing:
    """Take turns, and remember what each took."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.took: dict[str, list[Took]] = {}
        out = setup.work / "publish"
        out.mkdir()
        (out / "put.sh").write_text(_PUT, "utf-8")
        setup.airseed("-q", "bundle", "images.lock", "-o", "publish/b.tar")
        setup.run("tar", "-xf", "publish/b.tar", "-C", out, "images")
        setup.run(
            "skopeo", "--policy", setup.home / "policy.json", "sync",
            "--src", "yaml", "--dest", "dir", "sync.json", "publish/skopeo",
        )  # fmt: skip
        pulls = [f"crane pull --format oci {one} publish/crane/{number}"
                 for number, one in enumerate(setup.references)]  # fmt: skip
        setup.run("sh", "-ec", f"mkdir publish/crane; {'; '.join(pulls)}")

    def turn(self, number: int) -> None:
        runs = [self._publish, self._mirror, self._crane, self._skopeo, self._curl]
        for run in runs if number % 2 else reversed(runs):
            with self._registry() as registry:
                settle()
                run(registry)

    def _publish(self, registry: str) -> None:
        words = ("-q", "publish", "publish/b.tar", "--registry", registry, "--plain-http")
        self._note("publish", self.setup.airseed(*words))
        self._note("publish again", self.setup.airseed(*words))

    def _mirror(self, registry: str) -> None:
        words = ("-q", "mirror", "images.lock", "--registry", registry, "--plain-http")
        self._note("mirror", self.setup.airseed(*words))
        self._note("bundle", self.setup.airseed("-q", "bundle", "images.lock", "-o", "publish/c"))
        (self.setup.work / "publish/c").unlink()

    def _crane(self, registry: str) -> None:
        pushes = [f"crane push --insecure publish/crane/{number} {registry}/crane/{number}:1"
                  for number in range(len(self.setup.references))]  # fmt: skip
        self._note("crane push", self.setup.run("sh", "-ec", "; ".join(pushes)))

    def _skopeo(self, registry: str) -> None:
        took = self.setup.run(
            "skopeo", "--policy", self.setup.home / "policy.json", "sync",
            "--dest-tls-verify=false", "--src", "dir", "--dest", "docker", "publish/skopeo",
            registry,
        )  # fmt: skip
        self._note("skopeo sync", took)

    def _curl(self, registry: str) -> None:
        blobs = "ls -S publish/images/blobs/sha256/*"
        words = f"{blobs} | xargs -P6 -n1 sh -e publish/put.sh {registry}"
        self._note("curl", self.setup.run("sh", "-ec", words))

    def _note(self, name: str, took: Took) -> None:
        self.took.setdefault(name, []).append(took)

    @contextmanager
    def _registry(self) -> Iterator[str]:
        port = free_port()
        with tempfile.TemporaryDirectory(dir=self.setup.folder) as name:
            folder = Path(name)
            text = _REGISTRY.format(data=folder / "data", port=port)
            (folder / "config.yml").write_text(text, "utf-8")
            with daemon(
                "docker-registry", "serve", folder / "config.yml",
                env=self.setup.env, log=folder / "log", ready=lambda: listens(port),
            ):  # fmt: skip
                yield f"127.0.0.1:{port}"

    def figures(self) -> list[Figure]:
        """Return all figures, those with goals first."""
        rows = [
            ("publish / parallel curl PUTs", self._ratio("publish", "curl"), 1.15),
            ("publish / crane push", self._ratio("publish", "crane push"), 0.8),
            ("publish / skopeo sync", self._ratio("publish", "skopeo sync"), 0.8),
            ("publish, nothing new / first", self._ratio("publish again", "publish"), 0.05),
            ("mirror / (1.1 bundle + 0.2 publish)", self._mirrored(), 1),
            # what the registry alone takes, which hashes and writes all that a mirror brings
            ("mirror / parallel curl PUTs", self._ratio("mirror", "curl"), None),
        ]
        return [
            *(Figure(figure=name, value=value, goal=goal, unit="x") for name, value, goal in rows),
            *(
                Figure(figure=f"  {name}", value=middle(took), unit="s")
                for name, took in self.took.items()
            ),
        ]

    def _ratio(self, ours: str, theirs: str) -> float:
        pairs = zip(self.took[ours], self.took[theirs], strict=True)
        return median(one.seconds / other.seconds for one, other in pairs)

    def _mirrored(self) -> float:
        three = zip(self.took["mirror"], self.took["bundle"], self.took["publish"], strict=True)
        return median(
            mirror.seconds / (1.1 * bundle.seconds + 0.2 * publish.seconds)
            for mirror, bundle, publish in three
        )


def measure(setup: Setup, runs: int) -> list[Figure]:
    """Take turns; return the figures."""
    bench = Publishing(setup)
    for number in range(runs):
        bench.turn(number)
    return bench.figures()


def main() -> int:
    """Measure this part alone; return 0 when every goal is reached, else 1."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-publishing-") as folder,
        servers.setup(Path(folder)) as made,
    ):
        figures = measure(made, runs=int(sys.argv[1]) if sys.argv[1:] else _RUNS)
    print(table(figures))
    return 1 if any(one.met is False for one in figures) else 0


if __name__ == "__main__":
    sys.exit(main())

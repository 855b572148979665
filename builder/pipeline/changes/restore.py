"""The whole cluster, from one snapshot of its etcd (``--restore``)."""

from __future__ import annotations

import hashlib
import tarfile
from typing import TYPE_CHECKING

from builder import disk
from builder.errors import Fault, few
from builder.model.change import Findings, Stage
from builder.model.digest import Digest
from builder.pipeline.changes import refusals
from builder.pipeline.changes.kind import compare
from builder.secrets import authority, pem

if TYPE_CHECKING:
    from pathlib import Path

    from builder.model.change import Running
    from builder.pipeline.changes.kind import WantedState

PLAN, REFRESH = "restore", "refresh"
_DIGEST, _BLOCK = 32, 512
_LARGEST_KEYS = 1 << 20
_FELT = {
    "control-plane": "the API is away until the first control plane has the snapshot's data",
    "worker": "the workloads go on; kubelet and the pods of the system start again",
}


def changes(running: Running, wanted: WantedState, snapshot: Path) -> Findings:
    """Begin the cluster again from a snapshot that ``airseed-snapshot`` took."""
    keys = snapshot.with_suffix(".keys.tar")
    try:
        digest, faults = _examine(running, snapshot, keys)
        keys_digest = "" if faults else _sum(keys)
    except OSError as error:
        raise disk.failure(error, snapshot) from error
    if differing := tuple(refusals.of_all(compare(running, wanted.state))):
        what = "cluster.yaml does not have what runs"
        hint = "restore the cluster that was, and change it afterwards"
        faults.append(Fault(where=few(differing, refusals.FEW), what=what, hint=hint))
    if wanted.options.renew is not None:
        what = "a cluster begins again from a snapshot separately from everything else"
        faults.append(Fault(where="--renew", what=what, hint="renew when that is applied"))
    if faults:
        return Findings(faults=tuple(faults))
    stage = Stage(
        plan=PLAN,
        nodes=wanted.turns(running),
        plans={node.name: REFRESH for node in running.workers},
        what=f"begin again from {snapshot.name}",
        reason=f"--restore {snapshot.name}",
        words=PLAN,
        disturbance=_FELT,
        values={
            "SNAPSHOT": snapshot.name,
            "SNAPSHOT_SUM": digest,
            "SNAPSHOT_KEYS_SUM": keys_digest,
        },
        anew=True,
        after=running,
    )
    return Findings(stages=(stage,))


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return Digest.of_file(file).hex


def _examine(running: Running, snapshot: Path, keys: Path) -> tuple[str, list[Fault]]:
    """Return a snapshot's digest, and what speaks against it."""
    if not snapshot.name.endswith(".db") or not keys.is_file():
        what = "is not a snapshot with its keys beside it"
        wanted = f"NAME.db, and {keys.name} beside it"
        hint = "copy both from /var/lib/airseed/snapshots of a control plane"
        return "", [Fault(where=str(snapshot), what=what, expected=wanted, hint=hint)]
    faults = []
    digest = _digest(snapshot)
    if not digest:
        what = "is not whole: its last bytes are not the digest of the others"
        faults.append(Fault(where=str(snapshot), what=what, hint="copy it again, or take another"))
    try:
        with tarfile.open(keys, "r:") as tar:  # never one that has to be unpacked first
            held = tar.extractfile("ca.crt")
            text = held.read(_LARGEST_KEYS) if held else b""
        (certificate, *_) = pem.certificates(text)
        ours = authority.digest(certificate)
    except (tarfile.TarError, KeyError, ValueError, ArithmeticError, RecursionError):
        faults.append(Fault(where=str(keys), what="has no ca.crt in it", hint="copy it again"))
    else:
        if running.authority and ours != running.authority:
            what = "is of another cluster: its authority is not the one of secrets/"
            faults.append(Fault(where=str(keys), what=what, expected=running.authority))
    return digest, faults


def _digest(snapshot: Path) -> str:
    """Return a snapshot's digest; "" where it is not as etcd wrote it, with its own at the end."""
    size = snapshot.stat().st_size
    if size % _BLOCK != _DIGEST:
        return ""
    digest, left = hashlib.sha256(), size - _DIGEST
    with snapshot.open("rb") as file:
        while left and (part := file.read(min(left, 1 << 20))):
            digest.update(part)
            left -= len(part)
        end, whole = file.read(), digest.digest()
        digest.update(end)
    return digest.hexdigest() if end == whole else ""

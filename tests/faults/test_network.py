"""Every fault of the lab, on every kind of host, while locking and while bundling."""

from __future__ import annotations

import itertools
import random
import shutil
import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import sandboxes
from fault_lab.faults import (
    BadTLS,
    Drip,
    DripHead,
    ExpiredToken,
    Hang,
    LoginPage,
    NetworkFault,
    RangeIgnored,
    RedirectLoop,
    Reset,
    Status,
    Truncate,
    WrongBytes,
    WrongRange,
)

from builder.bundle import journal
from builder.bundle.existing import journal_path
from builder.formats import lock as lock_format

if TYPE_CHECKING:
    from pathlib import Path

    from sandboxes import Ran, Sample, Sandbox

LOCK_ROLES = {
    "key": ("vault.centos.org", "*/RPM-GPG-KEY-*"),
    "manifest": ("docs.projectcalico.org", "*/tigera-operator.yaml"),
    "registry": ("registry-1.docker.io", "/v2/calico/typha/manifests/*"),
    "redirecting registry": ("registry.k8s.io", "/v2/pause/manifests/*"),
    "registry behind a redirect": ("us-central1-docker.pkg.dev", "*/etcd/manifests/*"),
    "token service": ("auth.docker.io", "/token"),
    "token path": ("quay.io", "/v2/auth"),
    "repomd": ("download.docker.com", "*/repodata/repomd.xml"),
    "repomd with a fallback": ("mirrors.aliyun.com", "*/repodata/repomd.xml"),
    "repomd signature": ("mirrors.aliyun.com", "*/repodata/repomd.xml.asc"),
    "primary": ("vault.centos.org", "*/os/x86_64/repodata/*-primary.xml.gz"),
    "key everywhere": ("*", "*/RPM-GPG-KEY-CentOS-7"),
    "manifest everywhere": ("*", "*/tigera-operator.yaml"),
    "image everywhere": ("*", "/v2/*typha/manifests/*"),
    "repomd everywhere": ("*", "*/os/x86_64/repodata/repomd.xml"),
}
BUNDLE_ROLES = {
    "token service": ("auth.docker.io", "/token"),
    "token path": ("quay.io", "/v2/auth"),
    "registry": ("registry-1.docker.io", "/v2/calico/cni/blobs/*"),
    "redirecting registry": ("registry.k8s.io", "/v2/etcd/blobs/*"),
    "storage": ("quayio-production-s3.s3.amazonaws.com", "/sha256/*"),
    "rpm": ("vault.centos.org", "*/Packages/socat-*.rpm"),
    "large rpm": ("download.docker.com", "*/Packages/docker-ce-cli-*.rpm"),
    "rpm with a fallback": ("mirrors.aliyun.com", "*-kubelet-*.rpm"),
    "blob everywhere": ("*", "/v2/*cni/blobs/*"),
    "rpm everywhere": ("*", "*/Packages/socat-*.rpm"),
    "large rpm everywhere": ("*", "*/Packages/docker-ce-cli-*.rpm"),
}
NAMES = {
    "key everywhere": "centos-7",
    "manifest everywhere": "tigera-operator",
    "image everywhere": "typha",
    "repomd everywhere": "centos-7.6-os",
    "blob everywhere": "calico/cni",
    "rpm everywhere": "socat",
    "large rpm everywhere": "docker-ce-cli",
}
"""What an error has to name where it cannot be a host: no source is left then."""
KINDS: dict[str, tuple[NetworkFault, ...]] = {
    "503": (Status(503),),
    "500": (Status(500),),
    "429": (Status(429, retry_after="1"),),
    "404": (Status(404),),
    "login page": (LoginPage(),),
    "redirect loop": (RedirectLoop(),),
    "expired token": (ExpiredToken(),),
    "wrong bytes": (WrongBytes(),),
    "reset": (Reset(),),
    "truncated": (Truncate(),),
    "pause": (Hang(seconds=1),),
    "pause inside": (Hang(seconds=1, after=0.5),),
    "hang": (Hang(),),
    "hang inside": (Hang(after=0.5),),
    "drip": (Drip(piece=4096, pause=0.01),),
    "wrong authority": (BadTLS("authority"),),
    "wrong name": (BadTLS("name"),),
    "no handshake": (BadTLS("closed"),),
    "dripped head": (DripHead(),),
    "range ignored": (Reset(), RangeIgnored()),
    "wrong range": (Reset(), WrongRange()),
}
PASSING = (
    set(KINDS)
    - {"404", "login page", "redirect loop", "wrong bytes", "wrong authority"}
    - {"wrong name"}
)
"""What must be survived when it happens once: asking again helps."""
HARMLESS = {"pause", "drip"}
"""What must be survived however often it happens."""
MISCHIEVOUS = {"range ignored", "wrong range"}
"""What can only happen to a range."""
UNPROVABLE = {
    ("key", "wrong bytes"): {"keys/centos-7.asc"},
    ("manifest", "wrong bytes"): {"manifests/001-tigera-operator.yaml"},
    ("key everywhere", "wrong bytes"): {"keys/centos-7.asc"},
    ("manifest everywhere", "wrong bytes"): {"manifests/001-tigera-operator.yaml"},
}
"""What nobody can tell from right while locking for the first time: there is no digest of the
manifest, and a key's fingerprint says nothing of its names. These files alone may then differ."""


@dataclass(frozen=True)
class Case:
    phase: str
    role: str
    kind: str
    always: bool

    def __str__(self) -> str:
        return f"{self.phase}, {self.role}, {self.kind} {'always' if self.always else 'once'}"

    @property
    def target(self) -> tuple[str, str]:
        return (LOCK_ROLES if self.phase == "lock" else BUNDLE_ROLES)[self.role]

    @property
    def name(self) -> str:
        """Return what an error has to name."""
        return NAMES.get(self.role, self.target[0])


CASES = [
    Case(phase, role, kind, always)
    for phase, roles in (("lock", LOCK_ROLES), ("bundle", BUNDLE_ROLES))
    for role, kind, always in itertools.product(roles, KINDS, (False, True))
    if phase == "bundle" or kind not in MISCHIEVOUS
]


def spoil(sandbox: Sandbox, case: Case) -> None:
    """Let it go wrong."""
    host, path = case.target
    times = None if case.always else 1
    for number, fault in enumerate(KINDS[case.kind]):
        ranged = bool(number) if case.kind in MISCHIEVOUS else None
        if isinstance(fault, BadTLS):
            sandbox.upstream.faults.add(fault, host=host, times=times)
        elif case.always and case.kind == "429":
            # a second each time would be waited for, ten minutes long
            sandbox.upstream.faults.add(Status(429, retry_after="3600"), host=host, path=path)
        else:
            sandbox.upstream.faults.add(fault, host=host, path=path, ranged=ranged, times=times)


def play(sample: Sample, folder: Path, case: Case) -> tuple[str, list[str]]:
    """Play one case; return how it ended, and what is wrong with that."""
    try:
        return _play(sample, folder, case)
    except subprocess.TimeoutExpired as error:
        return "hung", [f"{case}: {error}\n{(error.stderr or b'').decode()}"]
    finally:
        shutil.rmtree(folder.parent, ignore_errors=True)


def _play(sample: Sample, folder: Path, case: Case) -> tuple[str, list[str]]:
    with sample.sandbox(folder, locked=case.phase == "bundle") as sandbox:
        spoil(sandbox, case)
        ran = sandbox.lock() if case.phase == "lock" else sandbox.bundle()
        if not any(one.fault for one in ran.requests):
            return "did not happen", [f"{case}: nothing went wrong"]
        # some faults mean the host, whichever path met them: what else it serves may be named
        whole_hosts = isinstance(KINDS[case.kind][0], (BadTLS, ExpiredToken)) or case.kind == "429"
        name = "" if whole_hosts and case.target[0] == "*" else case.name
        wrong = [] if ran.code == 0 else sandboxes.blame(ran, name)
        if ran.code and (case.kind in HARMLESS or (case.kind in PASSING and not case.always)):
            wrong.append(f"not survived:\n{ran.err}")
        if ran.code and case.phase == "bundle":
            wrong += kept(sample, sandbox, ran, everything=whole_hosts)
        elif ran.code and not sandbox.names <= {"cluster.yaml", "cluster.lock.d"}:
            wrong.append(f"left behind: {sorted(sandbox.names)}")
        outcome = "refused, then completed"
        if ran.code == 0:
            outcome = "fell back" if f"because https://{case.target[0]}" in ran.err else "survived"
        else:
            sandbox.upstream.faults.clear()
            ran = sandbox.lock() if case.phase == "lock" else sandbox.bundle()
            if ran.code:
                wrong.append(f"the next run fails:\n{ran.err}")
        if not wrong:
            wrong += unlike(sample, sandbox, case)
        return outcome, [f"{case}: {one}" for one in wrong]


def kept(sample: Sample, sandbox: Sandbox, ran: Ran, *, everything: bool) -> list[str]:
    """Return what is wrong with what a failed bundling leaves; the next run fetches only the rest.

    The rest is what the journal does not call done, and the failed run says that it kept all else.
    """
    wrong = []
    if sandbox.names != {"cluster.yaml", "cluster.lock", "cluster.lock.d"} | {
        "bundle.tar.part",
        "bundle.tar.journal",
    }:
        wrong.append(f"left behind: {sorted(sandbox.names)}")
    if "what was fetched is kept; run the same command again to continue" not in ran.err:
        wrong.append("it is not said that what was fetched is kept")
    claims = journal.read(journal_path(sandbox.bundle_path)).claims
    done = {path for path, claim in claims.items() if claim.done}
    missing = {extent.path for extent in sample.layout.fetched} - done
    if not missing or (len(missing) > 12 and not everything):
        wrong.append(f"{len(missing)} artifacts are missing for one fault")
    sandbox.upstream.faults.clear()
    again = sandbox.bundle()
    fetched = {
        extent.path for extent in sample.blobs if sandboxes.bytes_for(extent, again.requests)
    }
    if again.code or fetched != missing:
        wrong.append(f"fetched {sorted(fetched)}, missing was {sorted(missing)}:\n{again.err}")
    return wrong


def unlike(sample: Sample, sandbox: Sandbox, case: Case) -> list[str]:
    """Return what is wrong with the result."""
    if case.phase == "bundle":
        wrong = [] if sample.is_right(sandbox) else ["the bundle has other bytes"]
        left = sandbox.names - sandboxes.LEFT
        return wrong + ([f"left behind: {sorted(left)}"] if left else [])
    made = lock_format.parse(sandbox.lock_path.read_text(), "cluster.lock")
    was, now = ({(c.path, c.digest) for c in one.contents} for one in (sample.lock, made))
    differ = {path for path, _ in was ^ now}
    if differ <= UNPROVABLE.get((case.role, case.kind), set()):
        return []
    return [f"locked differently: {sorted(differ)}"]


def play_all(sample: Sample, folder: Path, cases: list[Case], workers: int) -> Counter[str]:
    """Play cases, some at once since they mostly wait; fail with all that is wrong."""
    with ThreadPoolExecutor(workers) as pool:
        jobs = [
            pool.submit(play, sample, folder / str(number) / "work", case)
            for number, case in enumerate(cases)
        ]
        ends = [job.result() for job in jobs]
    wrong = [one for _, some in ends for one in some]
    assert not wrong, f"{len(wrong)} of {len(cases)} cases:\n" + "\n".join(wrong)
    return Counter(outcome for outcome, _ in ends)


def test_a_sample_of_faults(sample: Sample, tmp_path: Path) -> None:
    cases = random.Random(10).sample(CASES, 5)
    play_all(sample, tmp_path, cases, workers=3)


@pytest.mark.campaign
def test_every_fault_on_every_host(
    sample: Sample, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = time.monotonic()
    ends = play_all(sample, tmp_path, CASES, workers=6)
    with capsys.disabled():
        counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(ends.items()))
        took = time.monotonic() - start
        print(f"\n{len(CASES)} faults at the command line in {took:.0f} s: {counts}")

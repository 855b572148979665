"""A machine in a temporary folder: the node's real scripts, stand-ins for what changes a system.

The scripts see nothing but the stand-ins and the commands of :data:`CENTOS`, so that a step that
needs Python, jq or anything else that CentOS 7 lacks fails here.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import shlex
import shutil
import signal
import subprocess
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from api_server import Api, serving
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from builder import assets
from builder.formats import catalog
from builder.model.version import Version

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

SCRIPTS = assets.tree("cloudinit-templates") / "node"
STAND_INS = Path(__file__).parent / "standins"
CENTOS = (
    "awk",
    "base64",
    "basename",
    "bash",
    "cat",
    "chmod",
    "cp",
    "curl",
    "cut",
    "date",
    "dd",
    "df",
    "dirname",
    "du",
    "env",
    "false",
    "find",
    "flock",
    "grep",
    "gzip",
    "head",
    "iconv",
    "id",
    "kill",
    "ln",
    "ls",
    "mkdir",
    "mv",
    "od",
    "openssl",
    "readlink",
    "rm",
    "sed",
    "seq",
    "sha256sum",
    "sort",
    "stat",
    "tail",
    "tar",
    "tee",
    "timeout",
    "touch",
    "tr",
    "true",
    "uname",
    "uniq",
    "wc",
)
TOKEN = "abcdef.0123456789abcdef"  # noqa: S105 -- opens nothing
KEY = "5f" * 32
_PATIENCE = 120


@dataclass(frozen=True)
class Authority:
    """Sign certificates; hold the files of a cluster as kubeadm lays them out in ``folder``."""

    folder: Path
    shared: bool = False
    """What every test of this worker copies from; nothing more is issued into it."""

    def in_folder(self, folder: Path) -> Authority:
        """Copy the authorities alone to another folder, where more may be issued."""
        for name in ("ca", "etcd/ca", "front-proxy-ca"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            for suffix in (".crt", ".key"):
                shutil.copy(self.folder / f"{name}{suffix}", folder / f"{name}{suffix}")
        return Authority(folder)

    def issue(
        self,
        name: str,
        *,
        of: str = "ca",
        alternatives: Iterable[str] = (),
        life: dt.timedelta = dt.timedelta(days=100),
        since: dt.timedelta = dt.timedelta(days=-1),
        curve: bool = False,
    ) -> None:
        """Write NAME.crt and NAME.key, signed by the authority ``of``."""
        assert not self.shared, "in_folder() gives an authority that issues more"
        key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        if curve:
            key = ec.generate_private_key(ec.SECP256R1())
        signer, issuer = key, _name(name)
        authority = name.endswith("ca")
        if not authority:
            signer = serialization.load_pem_private_key(
                (self.folder / f"{of}.key").read_bytes(), None
            )  # type: ignore[assignment]
            issuer = x509.load_pem_x509_certificate(
                (self.folder / f"{of}.crt").read_bytes()
            ).subject
        start = dt.datetime.now(dt.UTC) + since
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + life)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if alternatives:
            import ipaddress

            names = [x509.IPAddress(ipaddress.ip_address(address)) for address in alternatives]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(signer, hashes.SHA256())
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.with_name(f"{target.name}.crt").write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
        )
        target.with_name(f"{target.name}.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        )


@cache
def kubeadm_files(version: str) -> list[str]:
    """Return what is kubeadm's in /etc/kubernetes, as a seed names it."""
    release = catalog.load().kubernetes(Version.parse(version))
    prefix = "/etc/kubernetes/"
    return [path.removeprefix(prefix) for path in release.files if path.startswith(prefix)]


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Make the certificates of one cluster, once."""
    made = Authority(tmp_path_factory.mktemp("pki"))
    for name in ("ca", "etcd/ca", "front-proxy-ca"):
        made.issue(name)
    made.issue("apiserver", alternatives=["127.0.0.1"])
    made.issue("apiserver-kubelet-client")
    made.issue("front-proxy-client", of="front-proxy-ca")
    made.issue("etcd/server", of="etcd/ca", alternatives=["127.0.0.1"])
    made.issue("etcd/peer", of="etcd/ca", alternatives=["127.0.0.1"])
    made.issue("sa")
    public = x509.load_pem_x509_certificate((made.folder / "ca.crt").read_bytes()).public_key()
    (made.folder / "sa.pub").write_bytes(
        public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return replace(made, shared=True)


@pytest.fixture
def api(authority: Authority) -> Iterator[Api]:
    """Yield an API server that this machine's authority signed."""
    yield from serving(Api(authority), "apiserver", ("127.0.0.1", 0))


@dataclass
class Machine:
    """One machine: its root, its commands, and what was called on it."""

    folder: Path
    authority: Authority
    environment: dict[str, str] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def state(self) -> Path:
        return self.root / "var/lib/airseed"

    @property
    def calls(self) -> list[list[str]]:
        """Return the words of each call of a stand-in, in order."""
        log = self.folder / "calls"
        lines = log.read_text().splitlines() if log.exists() else []
        return [shlex.split(line) for line in lines]

    def called(self, *words: str) -> list[list[str]]:
        """Return the calls that begin with these words."""
        return [call for call in self.calls if call[: len(words)] == list(words)]

    @property
    def result(self) -> Any:
        return json.loads((self.state / "result.json").read_bytes())

    def write(self, path: str, content: str | bytes, mode: int = 0o644) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        file.chmod(mode)
        return file

    def stand_in(self, name: str, body: str) -> None:
        """Make a command that notes how it was called, then does ``body`` (bash)."""
        file = self.folder / "bin" / name
        file.unlink(missing_ok=True)
        file.write_text(f'#!/bin/bash\n. "$PRELUDE"\n{body}\n')
        file.chmod(0o755)

    def use(self, *folders: str) -> None:
        """Take stand-ins of these folders in the place of those that every machine has."""
        for name in folders:
            shutil.copytree(STAND_INS / name, self.folder / "bin", dirs_exist_ok=True)

    def without(self, name: str) -> None:
        (self.folder / "bin" / name).unlink()

    def set(self, **values: str) -> None:
        """Set values of node.env, by their names without AIRSEED_."""
        self.values.update(values)
        self.lay_env("etc/airseed/node.env", 0o644)

    def lay_env(self, path: str, mode: int = 0o600, /, **values: str) -> None:
        """Write the values of node.env and these to a file, as a change's own are written."""
        merged = self.values | values
        lines = [f"AIRSEED_{name}={shlex.quote(value)}\n" for name, value in merged.items()]
        self.write(path, "".join(lines), mode)

    def give_pki(self) -> None:
        """Lay down what a control plane has in its PKI."""
        folder = self.authority.folder
        for file in sorted(folder.rglob("*.*")):
            path = f"etc/kubernetes/pki/{file.relative_to(folder)}"
            self.write(path, file.read_bytes(), 0o600)

    def give_client(self) -> None:
        """Lay down the certificate that a node's kubelet shows, and its key."""
        name = self.authority.folder / "apiserver-kubelet-client"
        halves = (name.with_suffix(suffix).read_bytes() for suffix in (".crt", ".key"))
        path = "var/lib/kubelet/pki/kubelet-client-current.pem"
        self.write(path, b"".join(halves), 0o600)

    def run(
        self, *words: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run one of the node's programs."""
        return self._ran(["bash", str(SCRIPTS / words[0]), *words[1:]], environment or {})

    def _ran(
        self, words: list[str], environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """Run something in a process group of its own, which ends with it."""
        process = subprocess.Popen(
            words,
            env={**self.variables, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            out, _ = process.communicate(timeout=_PATIENCE)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        return subprocess.CompletedProcess(words, process.returncode, out)

    def boot(
        self, *steps: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run first boot, or these of its steps alone."""
        return self.run("run", "first-boot", *steps, environment=environment)

    def source(self, script: str, *libraries: str) -> subprocess.CompletedProcess[str]:
        """Run a piece of bash with libraries of the node's sourced and its values loaded."""
        needed = " ".join(("values", *libraries))
        program = f'. "{SCRIPTS}/lib/common.sh"\nneed {needed}\nload_environment\n{script}'
        return self._ran(["bash", "-c", program], {})

    @property
    def variables(self) -> dict[str, str]:
        return {
            "PATH": f"{self.folder / 'bin'}:{self.folder / 'centos'}",
            "HOME": str(self.root / "root"),
            "AIRSEED_ROOT": str(self.root),
            "CALLS": str(self.folder / "calls"),
            "TEMPLATE": str(self.authority.folder),
            "PRELUDE": str(STAND_INS / "prelude.sh"),
            "AIRSEED_GUARD_PATIENCE": "0",
            "AIRSEED_RELENT_PATIENCE": "2",
            "AIRSEED_LISTEN": "0",
            **self.environment,
        }


@pytest.fixture
def machine(tmp_path: Path, authority: Authority) -> Machine:
    """Return a worker's machine on which every stand-in succeeds."""
    made = Machine(tmp_path, authority)
    (tmp_path / "centos").mkdir()
    for name in CENTOS:
        program = shutil.which(name)
        assert program, f"{name} is missing on this machine"
        (tmp_path / "centos" / name).symlink_to(program)
    shutil.copytree(STAND_INS / "bin", tmp_path / "bin")
    made.write("proc/swaps", "Filename Type Size Used Priority\n")
    made.write("etc/machine-id", "6b1fa7b24c8d4f0e9a3d5c7e1b2f4a68\n")
    made.write("etc/resolv.conf", "nameserver 10.0.0.1\n")
    made.write("etc/hosts", "127.0.0.1 localhost\n")
    made.write("etc/fstab", "")
    (made.root / "etc/cloud").mkdir()
    (made.root / "etc/systemd/system").mkdir(parents=True)
    (made.root / "var/lib").mkdir(parents=True)
    made.set(
        CLUSTER="cluster.local",
        NODE="k8s04",
        ROLE="worker",
        IMAGES="worker",
        GENERATION="1",
        KUBERNETES="1.18.5",
        RUNTIME="docker",
        CRI_SOCKET="/var/run/dockershim.sock",
        CGROUP_DRIVER="systemd",
        ADDRESS="10.0.0.4",
        ADDRESSES="10.0.0.4",
        ENDPOINT="127.0.0.1:1",
        PKI="generated",
        SUMS="0" * 64,
        MADE_BYTES="10000000",
        KUBEADM_FILES=" ".join(kubeadm_files("1.18.5")),
        SANDBOX_IMAGE="k8s.gcr.io/pause:3.2",
        POD_SUBNETS="10.222.0.0/18",
        SERVICE_SUBNETS="10.233.0.0/18",
        DOMAIN="cluster.local",
        CNI="calico-operator",
        NEED_MIB="1",
        WINDOW="86400",
    )
    return made


@pytest.fixture
def joiner(machine: Machine) -> Machine:
    """Return a machine with a worker's seed."""
    machine.write("etc/airseed/pki/ca.crt", (machine.authority.folder / "ca.crt").read_bytes())
    machine.write("etc/airseed/kubeadm.yaml", JOIN, 0o600)
    return machine


@pytest.fixture
def first(machine: Machine) -> Machine:
    """Return a machine with the seed of the first control plane."""
    machine.set(
        NODE="k8s01",
        ROLE="init",
        IMAGES="control-plane",
        ADDRESS="10.0.0.1",
        ADDRESSES="10.0.0.1",
        ENDPOINT="10.0.0.1:6443",
        CONTROL_PLANES="k8s01",
    )
    for name, mode in (("ca.crt", 0o644), ("ca.key", 0o600)):
        content = (machine.authority.folder / name).read_bytes()
        machine.write(f"etc/airseed/pki/{name}", content, mode)
    machine.write("etc/airseed/kubeadm.yaml", INIT, 0o600)
    return machine


JOIN = f"""apiVersion: kubeadm.k8s.io/v1beta2
kind: JoinConfiguration
discovery:
  bootstrapToken:
    apiServerEndpoint: 10.0.0.1:6443
    token: {TOKEN}
    caCertHashes:
    - sha256:{"a" * 64}
nodeRegistration:
  name: k8s04
"""
INIT = f"""apiVersion: kubeadm.k8s.io/v1beta2
kind: InitConfiguration
bootstrapTokens:
- token: {TOKEN}
  ttl: 24h0m0s
certificateKey: {KEY}
localAPIEndpoint:
  advertiseAddress: 10.0.0.1
nodeRegistration:
  name: k8s01
"""

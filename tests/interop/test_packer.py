"""Real Packer (Debian's 1.6) reads every folder of its profile, and ksvalidator every kickstart."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import plans
import pytest
from interop.programs import PATH, daemon, free_port, listens

from builder.model.digest import Digest
from builder.render.packer import folder as rendered
from builder.render.packer.image import DiskImage, MachineImage

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.interop
BUILDERS = ("qemu", "vsphere-iso", "openstack", "proxmox-iso")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMadeUpForTestsMadeUpForTestsMadeUpForTe me"
SITE = {
    "qemu": "",
    "vsphere-iso": 'vsphere_cluster = "lab"\n',
    "openstack": 'openstack_source_image = "centos7"\nopenstack_flavor = "m1.large"\n',
    "proxmox-iso": "",
}


class Keystone(BaseHTTPRequestHandler):
    """Packer's openstack builder logs in before it validates anything."""

    def do_GET(self) -> None:
        self._send(200, {"versions": {"values": [self._version()]}})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        services = [
            {
                "type": kind,
                "endpoints": [{"interface": "public", "region": "r", "url": self._url()}],
            }
            for kind in ("compute", "image", "network")
        ]
        expires = "2099-01-01T00:00:00.000000Z"
        self._send(201, {"token": {"expires_at": expires, "catalog": services}})

    def _url(self) -> str:
        assert isinstance(self.server, ThreadingHTTPServer)
        return f"http://{self.server.server_name}:{self.server.server_port}/v3/"

    def _version(self) -> object:
        return {"id": "v3.0", "status": "stable", "links": [{"rel": "self", "href": self._url()}]}

    def _send(self, status: int, document: object) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("X-Subject-Token", "token")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Keystone)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    home = tmp_path_factory.mktemp("home")
    key = home / "image-key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    yield {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PACKER_CACHE_DIR": str(home / "cache"),
        "CHECKPOINT_DISABLE": "1",
        "OS_AUTH_URL": f"http://127.0.0.1:{server.server_address[1]}/v3",
        "OS_USERNAME": "me",
        "OS_PASSWORD": "long-secret-word",
        "OS_PROJECT_NAME": "p",
        "OS_DOMAIN_NAME": "Default",
        "OS_REGION_NAME": "r",
        "VSPHERE_SERVER": "vcenter.invalid",
        "VSPHERE_USER": "administrator",
        "VSPHERE_PASSWORD": "another-secret-word",
        "PROXMOX_URL": "https://pve.invalid:8006/api2/json",
        "PROXMOX_USERNAME": "root@pam",
        "PROXMOX_PASSWORD": "third-secret-word",
        "PKR_VAR_ssh_private_key_file": str(key),
    }
    server.shutdown()
    server.server_close()


def write(folder: Path, *builders: str, disk: bool = False, delivery: str = "upload") -> Path:
    table = plans.catalog().packer
    image = MachineImage(
        plan=plans.plan(plans.example("single")),
        lock=Digest.of(b"a lock"),
        builders=tuple(table.builder(name) for name in builders),
        profile="1.6",
        requires=table.profiles["1.6"],
        delivery=delivery,  # type: ignore[arg-type]
        bundle="http://10.0.0.5" if delivery == "url" else str(folder.parent / "bundle.tar"),
        key=KEY,
        disk=DiskImage(url="/srv/disk.qcow2", digest=Digest.of(b"")) if disk else None,
        version="0",
    )
    (folder.parent / "bundle.tar").touch()
    for path, content in rendered.folder(image).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def packer(environment: dict[str, str], *words: str | Path) -> subprocess.CompletedProcess[str]:
    program = shutil.which("packer")
    assert program, "tests/interop/setup.sh installs packer"
    return subprocess.run(
        [program, *words], env=environment, capture_output=True, text=True, check=False, timeout=300
    )


@pytest.mark.parametrize("kickstart", ["cd", "floppy", "http"])
@pytest.mark.parametrize("builder", [*BUILDERS, "all"])
def test_packer_takes_every_folder(
    tmp_path: Path, environment: dict[str, str], builder: str, kickstart: str
) -> None:
    folder = write(tmp_path / "image", *(BUILDERS if builder == "all" else (builder,)))
    site = tmp_path / "site.pkrvars.hcl"
    site.write_text("".join(SITE[name] for name in BUILDERS if builder in {"all", name}))
    ran = packer(
        environment, "validate", f"-var=kickstart={kickstart}", f"-var-file={site}", folder
    )
    assert (ran.returncode, ran.stdout + ran.stderr) == (0, "")


@pytest.mark.parametrize("delivery", ["url", "disk", "upload"])
def test_packer_takes_a_disk_image_and_every_delivery(
    tmp_path: Path, environment: dict[str, str], delivery: str
) -> None:
    folder = write(tmp_path / "image", "qemu", disk=True, delivery=delivery)
    ran = packer(environment, "validate", folder)
    assert (ran.returncode, ran.stdout + ran.stderr) == (0, "")


def test_paths_with_letters_of_qemu_and_of_urls_are_taken(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """The machine starts, with both disks; where it is built Packer itself takes no comma."""
    odd = tmp_path / "a, b #?%"
    odd.mkdir()
    folder = write(odd / "image", "qemu", disk=True, delivery="disk")
    words = blank_disk(odd / "disk.raw", 1 << 20)
    words = (f'-var=iso_urls=["{quote(str(odd / "disk.raw"), safe="/,")}"]', *words[1:])
    ran = build(environment, folder, tmp_path / "output", *words, "-var=ssh_timeout=5s")
    assert "image: error: the guest got no address, or does not let Packer log in" in ran.stderr


def test_every_file_is_formatted_as_packer_does_it(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    folder = write(tmp_path / "image", *BUILDERS)
    ran = packer(environment, "fmt", "-check", "-diff", folder)
    assert (ran.returncode, ran.stdout) == (0, "")


@pytest.mark.parametrize(
    ("setting", "word"),
    [
        ("kickstart=usb", "The kickstart must be cd, floppy or http."),
        ("disk_size=2", "The disk_size must be at least 10 GiB."),
        ("firmware=uboot", "The firmware must be bios or efi."),
        ("iso_checksum=abc", "The iso_checksum must be sha256: and 64 hexadecimal"),
    ],
)
def test_a_wrong_value_is_told_by_its_variable(
    tmp_path: Path, environment: dict[str, str], setting: str, word: str
) -> None:
    folder = write(tmp_path / "image", "qemu")
    ran = packer(environment, "validate", f"-var={setting}", folder)
    assert ran.returncode == 1
    assert word in ran.stdout + ran.stderr


def test_a_medium_with_another_checksum_is_refused_and_nothing_is_left(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    folder = write(tmp_path / "image", "qemu")
    medium = tmp_path / "wrong.iso"
    medium.write_bytes(b"not CentOS" * 1000)
    ran = packer(
        environment, "build", f'-var=iso_urls=["{medium}"]', "-var=accelerator=tcg",
        f"-var=output_directory={tmp_path / 'output'}", folder,
    )  # fmt: skip
    assert ran.returncode == 1
    assert "hecksum" in ran.stdout + ran.stderr
    assert not (tmp_path / "output").exists()


def build(
    environment: dict[str, str], folder: Path, output: Path, *words: str
) -> subprocess.CompletedProcess[str]:
    """Run the folder's own build.sh."""
    return subprocess.run(
        ["bash", folder / "build.sh", output, *words],
        env={**environment, "AIRSEED_ACCELERATOR": "tcg", "AIRSEED_LOOK": "1"},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


def blank_disk(path: Path, size: int) -> tuple[str, ...]:
    """Make a disk that nothing starts from; return the words by which Packer takes it."""
    path.write_bytes(os.urandom(size))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return (f'-var=iso_urls=["{path}"]', f"-var=iso_checksum=sha256:{digest}", "-var=memory=256")


def test_a_guest_that_never_gets_an_address_is_told(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    folder = write(tmp_path / "image", "qemu", disk=True)
    words = blank_disk(tmp_path / "disk.raw", 1 << 20)
    ran = build(environment, folder, tmp_path / "output", *words, "-var=ssh_timeout=10s")
    assert ran.returncode == 1
    assert "image: error: the guest got no address, or does not let Packer log in" in ran.stderr
    assert [path.name for path in tmp_path.glob("output*")] == ["output.part.console.log"]


def test_a_disk_that_gets_full_ends_the_build(tmp_path: Path, environment: dict[str, str]) -> None:
    folder = write(tmp_path / "image", "qemu", disk=True)
    words = blank_disk(tmp_path / "disk.raw", 80 << 20)
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300m", "tmpfs", small], check=True)
    try:
        ran = build(environment, folder, small / "output", *words)
        assert ran.returncode == 1
        assert f"image: error: the disk of {small / 'output'} has 2" in ran.stderr
        assert [path.name for path in small.glob("output*")] == ["output.part.console.log"]
    finally:
        subprocess.run(["umount", "--lazy", small], check=True)


_SIMULATED = (
    # the simulator takes no keys, and nothing runs in its machines
    ("  boot_command   = local.boot_command\n", "  boot_command   = []\n"),
    ("  convert_to_template = true\n", "  convert_to_template = false\n"),
    ('  shutdown_command     = "sudo -n systemctl poweroff"\n', ""),
    ("  ssh_username         = var.ssh_username\n", '  communicator = "none"\n'),
    ("  ssh_private_key_file = var.ssh_private_key_file\n", ""),
    ("  ssh_timeout          = var.ssh_timeout\n", ""),
)


def test_a_machine_is_made_on_vcenter_as_far_as_its_simulator_goes(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """The real builder logs in, carries both CDs there, and makes the machine that was meant."""
    vcsim, govc = (shutil.which(name, path=PATH) for name in ("vcsim", "govc"))
    if not vcsim or not govc:
        pytest.skip("vcsim and govc are not built: tests/interop/setup.sh does it with a newer Go")
    folder = write(tmp_path / "image", "vsphere-iso")
    path = folder / "source-vsphere-iso.pkr.hcl"
    text = path.read_text()
    for ours, simulated in _SIMULATED:
        assert text.count(ours) == 1, ours
        text = text.replace(ours, simulated)
    path.write_text(text)
    (folder / "build.pkr.hcl").write_text('build {\n  sources = ["source.vsphere-iso.node"]\n}\n')
    medium = tmp_path / "medium.iso"
    medium.write_bytes(os.urandom(1 << 20))
    digest = hashlib.sha256(medium.read_bytes()).hexdigest()
    port = free_port()
    env = {
        **environment,
        "VSPHERE_SERVER": f"127.0.0.1:{port}",
        "GOVC_URL": f"https://u:p@127.0.0.1:{port}/sdk",
        "GOVC_INSECURE": "1",
    }
    variables = {
        "vcenter_insecure": "true", "vsphere_datacenter": "DC0", "vsphere_cluster": "DC0_C0",
        "vsphere_host": "DC0_C0_H0", "vsphere_datastore": "LocalDS_0",
        "iso_urls": f'["{medium}"]', "iso_checksum": f"sha256:{digest}", "memory": "3072",
    }  # fmt: skip
    with daemon(
        vcsim, f"-httptest.serve=127.0.0.1:{port}",
        env=env, log=tmp_path / "vcsim.log", ready=lambda: listens(port),
    ):  # fmt: skip
        done = threading.Event()

        def switch_off() -> None:
            """End what waits for the guest to end itself."""
            while not done.wait(1):
                subprocess.run(
                    [govc, "vm.power", "-off", image_name(folder)],
                    env=env, capture_output=True, check=False,
                )  # fmt: skip

        thread = threading.Thread(target=switch_off)
        thread.start()
        try:
            words = (f"-var={name}={value}" for name, value in variables.items())
            ran = packer(env, "build", *words, folder)
        finally:
            done.set()
            thread.join()
        assert ran.returncode == 0, ran.stdout + ran.stderr
        told = subprocess.run(
            [govc, "vm.info", "-json", image_name(folder)],
            env=env, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
    (machine,) = json.loads(told)["VirtualMachines"]
    hardware = machine["Config"]["Hardware"]
    assert (hardware["NumCPU"], hardware["MemoryMB"]) == (2, 3072)
    assert machine["Config"]["GuestId"] == "centos7_64Guest"
    kinds = [device.get("CapacityInKB") for device in hardware["Device"]]
    assert 40 << 20 in kinds


def image_name(folder: Path) -> str:
    text = (folder / "airseed.auto.pkrvars.hcl").read_text()
    return next(line.split('"')[1] for line in text.splitlines() if line.startswith("image_name"))


def test_ksvalidator_has_nothing_to_say(tmp_path: Path) -> None:
    folder = write(tmp_path / "image", "qemu")
    program = Path(sys.executable).parent / "ksvalidator"
    ran = subprocess.run(
        [program, "-v", "RHEL7", folder / "http/ks.cfg"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")

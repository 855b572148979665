"""What cluster.yaml says about machines: read, laid over each other, and checked."""

from __future__ import annotations

import base64
from ipaddress import ip_address, ip_network

import pytest

from builder.errors import DocumentError
from builder.formats import catalog as catalog_format
from builder.formats import cluster as cluster_format
from builder.formats import terms
from builder.formats.cluster import bond_rules, explain, foreign, machine_terms
from builder.formats.reading import MisfitError
from builder.model.cluster import Cluster, Pki, SeedSettings
from builder.model.machine import Bond, MachineFile, MachineNetwork, Proxy, Route, User

KEY = (
    "ssh-ed25519 " + base64.b64encode(b"\0\0\0\x0bssh-ed25519" + b"\0\0\0\x20" + b"k" * 32).decode()
)
HASH = "$6$salt$0123456789"
HEAD = """\
kubernetes: 1.18.5
nodes:
  - name: k8s01
    role: control-plane
    address: 10.0.0.1/24
    interface: eth0
"""
BOTH = HEAD.replace("10.0.0.1/24", "[10.0.0.1/24, 'fd00::1/64']")
FULL = f"""
pki: {{files: site/pki/}}
seed: {{provider: openstack, url: "http://10.0.0.9/bundle/", window: 48, phone-home: "https://x.example/r"}}
registry: reg.example.com:5000/k8s
machine:
  files:
    - {{path: /etc/motd, content: "one\\ntwo\\n", permissions: 0600, owner: "root:wheel"}}
    - {{path: /opt/tool, source: site/tool}}
  commands:
    before: [echo one]
    after: [echo two]
  users:
    - {{name: ops, ssh-keys: "{KEY} ops", groups: wheel, sudo: true, password: "{HASH}"}}
  ssh-keys: ["{KEY}"]
  proxy: {{http: "http://proxy:3128/", no: [.example.com]}}
  ntp: [ntp.example.com, 10.0.0.9]
  packages: [tcpdump]
  hosts: {{10.0.0.9: [reg.example.com, reg], fd00::9: v6.example.com}}
  network:
    gateway: [10.0.0.254, fe80::1]
    nameservers: 10.0.0.254
    search: [example.com]
    mtu: 9000
    routes: [{{to: 10.9.0.0/16, via: 10.0.0.253}}]
    vlan: 100
  registry: {{ca: site/ca.pem, credentials: site/auth.json}}
roles:
  control-plane:
    machine: {{ntp: ntp2.example.com, packages: [tcpdump, lsof], commands: {{before: [echo role]}}}}
    kubeadm: {{KubeletConfiguration: {{maxPods: 200}}}}
kubeadm:
  ClusterConfiguration: {{apiServer: {{extraArgs: {{profiling: "False", v: null}}}}}}
"""


def read(more: str, head: str = HEAD) -> Cluster:
    return cluster_format.read(head + more, "cluster.yaml").cluster


def faults(more: str, head: str = HEAD) -> list[tuple[str, str, str | None]]:
    with pytest.raises(DocumentError) as caught:
        read(more, head)
    return [(f.where.partition(" (")[0], f.what, f.hint) for f in caught.value.faults]


def test_a_wrong_prefix_length_is_told_once() -> None:
    assert faults(
        "machine: {network: {gateway: 10.0.0.2}}\n", HEAD.replace("10.0.0.1/24", "10.0.0.1/33")
    ) == [("nodes[0].address", "'10.0.0.1/33' has a wrong prefix length", None)]


def test_everything_is_read() -> None:
    cluster = read(FULL, BOTH)
    assert cluster.pki == Pki(kind="files", folder="site/pki")
    assert cluster.seed == SeedSettings(
        provider="openstack",
        url="http://10.0.0.9/bundle/",
        window=48,
        phone_home="https://x.example/r",
    )
    machine = cluster.machine
    assert machine.files == (
        MachineFile(path="/etc/motd", content="one\ntwo\n", permissions="0600", owner="root:wheel"),
        MachineFile(path="/opt/tool", source="site/tool"),
    )
    assert (machine.before, machine.after) == (("echo one",), ("echo two",))
    assert machine.users == (
        User(
            name="ops",
            ssh_keys=(f"{KEY} ops",),
            groups=("wheel",),
            sudo=True,
            password=HASH,
        ),
    )
    assert machine.proxy == Proxy(http="http://proxy:3128", no=(".example.com",))
    assert machine.hosts == {
        "10.0.0.9": ("reg.example.com", "reg"),
        "fd00::9": ("v6.example.com",),
    }
    assert machine.network == MachineNetwork(
        gateways=(ip_address("10.0.0.254"), ip_address("fe80::1")),
        nameservers=(ip_address("10.0.0.254"),),
        search=("example.com",),
        mtu=9000,
        routes=(Route(to=ip_network("10.9.0.0/16"), via=ip_address("10.0.0.253")),),
        vlan=100,
    )
    assert (machine.registry.ca, machine.registry.credentials) == ("site/ca.pem", "site/auth.json")
    assert cluster.kubeadm == {
        "ClusterConfiguration": {"apiServer": {"extraArgs": {"profiling": "False", "v": None}}}
    }


def test_the_narrower_place_counts_and_lists_add_up() -> None:
    more = """\
    machine:
      ntp: [own.example.com]
      network: {mtu: 1500}
      commands: {before: [echo node]}
      files: [{path: /etc/motd, content: mine}]
    kubeadm: {KubeletConfiguration: {maxPods: 10}}
"""
    cluster = read(FULL, BOTH + more)
    machine = cluster.machine_of(cluster.nodes[0])
    assert machine.ntp == ("own.example.com",)
    assert machine.before == ("echo one", "echo role", "echo node")
    assert machine.packages == ("tcpdump", "lsof")
    assert [(file.path, file.content) for file in machine.files] == [
        ("/etc/motd", "mine"),
        ("/opt/tool", None),
    ]
    assert (machine.network.mtu, machine.network.vlan) == (1500, 100)
    assert machine.registry.ca == "site/ca.pem"
    assert [one.get("KubeletConfiguration") for one in cluster.kubeadm_of(cluster.nodes[0])] == [
        None,
        {"maxPods": 200},
        {"maxPods": 10},
    ]


def test_nothing_said_is_nothing() -> None:
    cluster = read("")
    machine = cluster.machine_of(cluster.nodes[0])
    assert machine.files == machine.packages == machine.ntp == ()
    assert cluster.kubeadm_of(cluster.nodes[0]) == ({}, {}, {})


def test_a_bond_is_read() -> None:
    head = HEAD.replace("    interface: eth0\n", "")
    more = (
        "machine: {network: {bond: {interfaces: [eth0, eth1], mode: 802.3ad,"
        " options: {miimon: 100}}}}\n"
    )
    cluster = read(more, head)
    assert cluster.machine.network.bond == Bond(
        interfaces=("eth0", "eth1"), mode="802.3ad", options={"miimon": "100"}
    )


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (
            "machine: {files: [{path: etc/motd, content: x}]}\n",
            ("machine.files[0].path", "'etc/motd' is not absolute", "write /etc/motd"),
        ),
        (
            "machine: {files: [{path: /etc/../motd, content: x}]}\n",
            ("machine.files[0].path", "'/etc/../motd' has a part that is not a name", None),
        ),
        (
            f"machine: {{files: [{{path: /etc/{'é' * 128}, content: x}}]}}\n",
            (
                "machine.files[0].path",
                "a name of more than 255 bytes, which no file system takes",
                None,
            ),
        ),
        (
            "machine: {files: [{path: /x}]}\n",
            ("machine.files[0]", "give either content, source or secret", None),
        ),
        (
            "machine: {files: [{path: /x, content: a, source: b}]}\n",
            ("machine.files[0]", "has both content and source", None),
        ),
        (
            "machine: {files: [{path: /x, content: a, permissions: 8}]}\n",
            (
                "machine.files[0].permissions",
                "'8' is not octal permissions",
                'write it in quotes, as "0644"',
            ),
        ),
        (
            "machine: {ssh-keys: ['-----BEGIN OPENSSH PRIVATE KEY-----']}\n",
            (
                "machine.ssh-keys[0]",
                "this is a private key",
                "take the file that ends in .pub",
            ),
        ),
        (
            "machine: {ssh-keys: [ssh-ed25519 AAAA]}\n",
            ("machine.ssh-keys[0]", "the key is cut off or damaged", None),
        ),
        (
            "machine: {users: [{name: ops, password: hunter2}]}\n",
            (
                "machine.users[0].password",
                "this is not a password's hash that CentOS 7 knows",
                "openssl passwd -6 makes one",
            ),
        ),
        (
            "machine: {proxy: {http: 'http://me:secret@proxy:1'}}\n",
            (
                "machine.proxy.http",
                "credentials in a proxy's URL would be visible to everyone on the machine",
                None,
            ),
        ),
        (
            "seed: {url: 'http://me:secret@h/'}\n",
            (
                "seed.url",
                "credentials in a URL would be visible to everyone on the machine",
                None,
            ),
        ),
        (
            "machine: {snapshots: {to: 'https://me:secret@h/backup'}}\n",
            (
                "machine.snapshots.to",
                "credentials in a URL would be visible to everyone on the machine",
                "a login for that server goes into /etc/airseed/snapshots.curl of the machine",
            ),
        ),
        (
            "machine: {hosts: {10.0.0: a}}\n",
            ("machine.hosts.10.0.0", "'10.0.0' is not an IP address", None),
        ),
        (
            "machine: {packages: [a, a]}\n",
            ("machine.packages[1]", "'a' is already used by machine.packages[0]", None),
        ),
        (
            "machine: {network: {gateway: 10.9.0.1}}\n",
            (
                "nodes[0].address",
                "the gateway 10.9.0.1 is in no network of this node",
                "on-link: true says that it is reached over this card all the same",
            ),
        ),
        (
            "machine: {phone-home: x}\n",
            ("machine.phone-home", "unknown key", "its place is seed.phone-home"),
        ),
        (
            "machine: {ntp: {pools: [a.lan], enabled: true}}\n",
            (
                "machine.ntp",
                "a mapping is not a list",
                "leave out pools: the list itself stands here",
            ),
        ),
        (
            "secrets: {token: x}\n",
            (
                "secrets",
                "unknown key",
                "no secret stands in cluster.yaml: airseed secrets makes them, in files",
            ),
        ),
        (
            "packages: [vim]\n",
            (
                "packages",
                "unknown key",
                "its place is kubernetes.packages or os.base.packages or machine.packages",
            ),
        ),
        (
            "machine: {network: {routes: [{to: default, via: 10.0.0.2}]}}\n",
            (
                "machine.network.routes[0].to",
                "'default' is not a subnet",
                "write 0.0.0.0/0, or ::/0",
            ),
        ),
        (
            "machine: {network: {gateway: [10.0.0.2, 10.0.0.3]}}\n",
            ("machine.network.gateway", "two IPv4 gateways", None),
        ),
        (
            "machine: {network: {routes: [{to: 10.1.0.1/16, via: 10.0.0.2}]}}\n",
            (
                "machine.network.routes[0].to",
                "'10.1.0.1/16' is not a subnet",
                "write 10.1.0.0/16",
            ),
        ),
        (
            "machine: {network: {bond: {interfaces: [eth1, eth2]}}}\n",
            (
                "nodes[0].interface",
                "eth0 and a bond of eth1, eth2",
                "the address is on the bond",
            ),
        ),
        (
            "kubeadm: {ClusterConfig: {}}\n",
            ("kubeadm.ClusterConfig", "unknown kind", "did you mean 'ClusterConfiguration'?"),
        ),
        (
            "machine: {registry: {credentials: x.json}}\n",
            (
                "machine.registry.credentials",
                "there are credentials, but no registry",
                "add registry: to cluster.yaml",
            ),
        ),
        (
            "roles: {master: {}}\n",
            ("roles.master", "unknown key", "write it as roles.control-plane"),
        ),
    ],
)
def test_mistakes_say_where_and_what_to_do(
    more: str, expected: tuple[str, str, str | None]
) -> None:
    assert faults(more) == [expected]


def test_a_network_needs_a_card() -> None:
    head = HEAD.replace("    interface: eth0\n", "")
    assert faults("machine: {network: {mtu: 1500}}\n", head) == [
        (
            "nodes[0]",
            "no network interface to configure",
            "name the interface that has the address",
        )
    ]


def test_no_message_repeats_a_secret() -> None:
    more = (
        "machine: {users: [{name: ops, password: hunter2}],"
        " proxy: {http: 'http://me:hunter2@proxy:1'}}\n"
    )
    with pytest.raises(DocumentError) as caught:
        read(more)
    assert "hunter2" not in repr(caught.value.faults)


def test_access_without_a_registry_is_remarked() -> None:
    found = cluster_format.read(HEAD + "machine: {registry: {ca: x.pem}}\n", "c").remarks
    assert [(f.where, f.what) for f in found] == [
        ("machine.registry (line 7)", "has no effect without an internal registry")
    ]


def test_local_files_are_looked_up() -> None:
    with pytest.raises(DocumentError) as caught:
        cluster_format.read(BOTH + FULL, "c", exists=lambda _: False)
    assert [f.where.partition(" (")[0] for f in caught.value.faults] == [
        "machine.files[1].source",
        "machine.registry.ca",
        "machine.registry.credentials",
        "pki.files",
        "pki.files",
    ]


def test_a_wrong_seed_hides_nothing_else_and_stops_no_choice() -> None:
    catalog = catalog_format.load(())
    with pytest.raises(DocumentError) as caught:
        cluster_format.read(HEAD + "seed: {window: 0}\ncni: flannel\n", "c", catalog=catalog)
    assert [f.where.partition(" (")[0] for f in caught.value.faults] == ["seed.window", "cni"]


@pytest.mark.parametrize(
    "host",
    [
        "pro`id`xy", "pro'xy", 'pro\\"xy', "pro$(id)xy", "pro;xy", "pro|xy", "pro&xy", "pro\\\\xy",
        "pro{xy", "pro xy", "-proxy", "pro%xy", "[::1]$x", "[fe80::1%25eth0]", "pro,xy",
        "pro<xy", "pro*xy", "prö", "", "[::g]",
    ],
)  # fmt: skip
def test_a_proxys_host_is_a_name_or_an_address(host: str) -> None:
    """It lands in env files and units, which have letters of their own."""
    with pytest.raises(MisfitError):
        machine_terms.proxy(f"http://{host}:3128")
    with pytest.raises(MisfitError):
        terms.url(f"http://{host}:3128/x")


@pytest.mark.parametrize("text", ["http://h/?a=b", "http://h/#a", "http://h/a#", "http://h?"])
def test_nothing_stands_behind_the_path_of_a_folder(text: str) -> None:
    with pytest.raises(MisfitError, match="ends after its path"):
        terms.folder_url(text)
    assert terms.url(text) == text


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("http://proxy:3128/", "http://proxy:3128"),
        ("HTTPS://Proxy.example.com", "https://proxy.example.com"),
        ("http://my_proxy.lan.:80", "http://my_proxy.lan.:80"),
        ("http://[2001:db8::1]:3128", "http://[2001:db8::1]:3128"),
        ("http://10.0.0.1:3128?", "http://10.0.0.1:3128"),
    ],
)
def test_a_proxy_is_written_plainly(text: str, read: str) -> None:
    assert machine_terms.proxy(text) == read


BOND = "machine.network.bond"


@pytest.mark.parametrize(
    ("text", "where", "hint"),
    [
        ("lacp_rate: fast", f"{BOND}.lacp_rate", f"{BOND}.options.lacp_rate"),
        ("lacp-rate: fast", f"{BOND}.lacp-rate", f"{BOND}.options.lacp_rate"),
        ("options: {lacp-rate: fast}", f"{BOND}.options.lacp-rate", f"{BOND}.options.lacp_rate"),
        ("mii-monitor-interval: 100", f"{BOND}.mii-monitor-interval", f"{BOND}.options.miimon"),
        ("bond-miimon: 100", f"{BOND}.bond-miimon", f"{BOND}.options.miimon"),
        ("transmit-hash-policy: x", f"{BOND}.transmit-hash-policy",
         f"{BOND}.options.xmit_hash_policy"),
        ("BONDING_OPTS: miimon=100", f"{BOND}.BONDING_OPTS", f"{BOND}.options"),
        ("parameters: {mode: 802.3ad}", f"{BOND}.parameters", f"{BOND}.options"),
    ],
)  # fmt: skip
def test_a_bonds_option_as_linux_or_netplan_spell_it(text: str, where: str, hint: str) -> None:
    found = faults(f"machine: {{network: {{bond: {{interfaces: [eth0, eth1], {text}}}}}}}\n")
    assert (where, f"write it as {hint}") in [(place, said) for place, _, said in found]


@pytest.mark.parametrize(
    ("text", "where", "hint"),
    [
        ("podSubnet: 10.1.0.0/16", "podSubnet", "write it as network.pods"),
        ("controlPlaneEndpoint: a.b:6443", "controlPlaneEndpoint", "write it as endpoint"),
        ("apiVersion: v1", "apiVersion", "put kubeadm's documents under kubeadm, each by its kind"),
        ("kubelet: {maxPods: 9}", "kubelet", "write it as kubeadm.KubeletConfiguration"),
        ("masters: [a]", "masters", "list them under nodes, each with its role"),
        ("machine: {selinux: false}", "machine.selinux", "write disabled"),
        ("machine: {selinux: 1}", "machine.selinux", "write enforcing"),
        ("machine: {firewall: on}", "machine.firewall", "write ports"),
        ("machine: {firewall: false}", "machine.firewall", "write off"),
        ("machine: {audit: true}", "machine.audit", "airseed init --example hardened shows it"),
        ("machine: {runcmd: [ls]}", "machine.runcmd", "write it as machine.commands"),
        ("machine: {proxy: {noProxy: [a]}}", "machine.proxy.noProxy",
         "write it as machine.proxy.no"),
        ("machine: {network: {dhcp4: true}}", "machine.network.dhcp4",
         "leave address out: it then comes by DHCP"),
        ("machine: {network: {cards: [{macaddress: a}]}}", "machine.network.cards[0].macaddress",
         "write it as mac"),
        ("machine: {network: {bond: {interfaces: [a, b], mode: 4}}}", f"{BOND}.mode",
         "write 802.3ad"),
        ("machine: {network: {bond: {interfaces: [a, b], options: miimon=100}}}", f"{BOND}.options",
         "write each as NAME: VALUE"),
    ],
)  # fmt: skip
def test_a_key_that_others_have_is_known(text: str, where: str, hint: str) -> None:
    assert (where, hint) in [(place, said) for place, _, said in faults(f"{text}\n")]


def test_whatever_a_foreign_key_leads_to_is_a_key() -> None:
    known = {entry.path for entry in explain.walk(explain.tree())}
    known |= {f"{BOND}.options.{name}" for name in bond_rules.OPTIONS} | {"mac", "address"}
    places = [place.partition(":")[0] for place in foreign.PLACES.values()]
    assert [place for place in places if place not in known] == []

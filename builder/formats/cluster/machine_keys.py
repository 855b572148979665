"""The table of what cluster.yaml says about machines: for all of them, for a role, for a node.

:mod:`builder.formats.cluster.keys` puts it where it belongs.
"""

from __future__ import annotations

from typing import Any

from builder.formats.cluster import machine_terms, terms
from builder.formats.shape import Choice, Field, Flag, ListOf, MapOf, Number, Record, Text
from builder.model.cluster import RoleSettings
from builder.model.machine import (
    NOTHING_SAID,
    Bond,
    Machine,
    MachineNetwork,
    Proxy,
    RegistryAccess,
    Route,
    User,
)

_LEAST_MTU = 1280
"""IPv6 asks for no less (RFC 8200)."""
_MOST_MTU = 9216
_MOST_VLAN = 4094
_LONGEST_CONTENT = 1 << 20
_PUBLIC = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA... ops"
_MODES = (
    "active-backup",
    "802.3ad",
    "balance-rr",
    "balance-xor",
    "broadcast",
    "balance-tlb",
    "balance-alb",
)


def _machine(commands: Any, **said: Any) -> Machine:
    before, after = commands
    return Machine(before=before, after=after, **said)


def _bond(options: Any, **said: Any) -> Bond:
    if "mode" in options:
        raise ValueError("options.mode: the mode stands beside the options")
    return Bond(options=options, **said)


_LOCAL = Text(
    parse=terms.local, expected="a path beside cluster.yaml", example="site/registry-ca.pem"
)
_COMMANDS: ListOf[str] = ListOf(
    Text(expected="a shell command", example="tuned-adm profile virtual-guest", lines=True),
    most=200,
)
_FILE = Record(
    machine_terms.machine_file,
    {
        "path": Field(
            Text(
                parse=machine_terms.absolute,
                expected="an absolute path",
                example="/etc/motd",
                longest=400,
            ),
            required=True,
            title="Path",
            doc="Where the file goes on the machine.",
        ),
        "content": Field(
            Text(longest=_LONGEST_CONTENT, empty=True, lines=True, example="welcome"),
            title="Content",
            doc="What is in it; or give a source.",
        ),
        "source": Field(_LOCAL, title="Source", doc="A file beside cluster.yaml with its content."),
        "owner": Field(
            Text(
                pattern=r"[a-z_][a-z0-9_-]{0,31}(?::[a-z_][a-z0-9_-]{0,31})?",
                expected="USER[:GROUP]",
                example="root:root",
            ),
            default="root:root",
            title="Owner",
            doc="Who owns it: an account of the image, or one of users. Default: root:root.",
        ),
        "permissions": Field(
            Text(
                parse=machine_terms.permissions,
                expected="three or four octal digits in quotes",
                example="0644",
                hint='write it in quotes, as "0644"',
            ),
            default="0644",
            title="Permissions",
            doc="Octal, in quotes. Default: 0644.",
        ),
    },
    title="a file",
)
_SSH_KEYS = ListOf(
    Text(
        parse=machine_terms.ssh_key,
        expected="a public key as in authorized_keys",
        example=_PUBLIC,
        longest=20_000,
    ),
    most=200,
    lone=True,
)
_USER = Record(
    User,
    {
        "name": Field(
            Text(
                pattern=r"[a-z_][a-z0-9_-]{0,31}",
                expected="an account's name: lower-case letters, digits, dashes",
                example="ops",
            ),
            required=True,
            title="Name",
            doc="The account's name.",
        ),
        "ssh-keys": Field(
            _SSH_KEYS,
            default=(),
            title="SSH keys",
            doc="Public keys that open the account.",
            examples=([_PUBLIC],),
        ),
        "groups": Field(
            ListOf(
                Text(pattern=r"[a-z_][a-z0-9_-]{0,31}", expected="a group", example="wheel"),
                most=50,
                lone=True,
            ),
            default=(),
            title="Groups",
            doc="Further groups.",
            examples=(["wheel"],),
        ),
        "sudo": Field(
            Flag(),
            default=False,
            title="May become root",
            doc="Whether it may become root without a password. Default: false.",
            examples=(True,),
        ),
        "shell": Field(
            Text(parse=machine_terms.absolute, expected="an absolute path", example="/bin/bash"),
            default="/bin/bash",
            title="Shell",
            doc="Its shell. Default: /bin/bash.",
        ),
        "password": Field(
            Text(
                parse=machine_terms.password,
                expected="a crypt(3) hash, like $6$SALT$HASH",
                hint="openssl passwd -6 makes one",
            ),
            title="Password hash",
            doc="A crypt(3) hash; without one only SSH keys open the account.",
            examples=("$6$...",),
        ),
    },
    title="a user",
)
_URL = Text(
    parse=machine_terms.proxy,
    expected="the URL of a proxy, without credentials",
    example="http://proxy.example.com:3128",
)
_PROXY = Record(
    Proxy,
    {
        "http": Field(_URL, title="For http", doc="The proxy for http."),
        "https": Field(_URL, title="For https", doc="The proxy for https."),
        "no": Field(
            ListOf(
                Text(
                    pattern=r"[A-Za-z0-9.*:/_\[\]-]{1,253}",
                    expected="a host, a .domain or a subnet",
                    example=".example.com",
                ),
                most=200,
            ),
            default=(),
            title="Without proxy",
            doc="Hosts, domains and subnets to be reached directly; the cluster's own are added.",
            examples=([".example.com"],),
        ),
    },
    title="a proxy",
)
_ADDRESS = Text(parse=machine_terms.address, expected="an IP address", example="10.211.55.1")
_BOND = Record(
    _bond,
    {
        "interfaces": Field(
            ListOf(
                Text(pattern=machine_terms.CARD, expected="a network interface", example="eth0"),
                least=1,
                most=16,
            ),
            required=True,
            title="Interfaces",
            doc="The cards that make it up, by their kernel names.",
            examples=(["eth0", "eth1"],),
        ),
        "name": Field(
            Text(pattern=machine_terms.CARD, expected="a network interface", example="bond0"),
            default="bond0",
            title="Name",
            doc="Its name. Default: bond0.",
        ),
        "mode": Field(
            Choice(_MODES),
            default="active-backup",
            title="Mode",
            doc="How traffic is spread. Default: active-backup.",
            examples=("802.3ad",),
        ),
        "options": Field(
            MapOf(
                Text(
                    pattern=r"[A-Za-z0-9_.+:-]{1,64}", expected="an option's value", example="100"
                ),
                key=r"[a-z][a-z0-9_]{0,30}",
            ),
            default={},
            title="Options",
            doc="Options of the kernel's bonding driver.",
            examples=({"miimon": "100"},),
        ),
    },
    title="a bond",
)
_ROUTE = Record(
    Route,
    {
        "to": Field(
            Text(
                parse=machine_terms.destination,
                expected="a subnet",
                example="10.0.0.0/8",
                longest=64,
            ),
            required=True,
            title="Destination",
            doc="The subnet behind it.",
        ),
        "via": Field(
            _ADDRESS, required=True, title="Next hop", doc="The machine that leads there."
        ),
    },
    title="a route",
)
_NETWORK = Record(
    MachineNetwork,
    {
        "version": Field(
            Number(least=1, most=2),
            title="Form",
            doc="The version of cloud-init's network-config. Default: 1, which every cloud-init "
            "writes out whole.",
            examples=(1,),
        ),
        "gateway": Field(
            ListOf(_ADDRESS, least=1, most=2, lone=True),
            default=(),
            name="gateways",
            title="Gateway",
            doc="The default gateway; one of each family at most.",
            examples=("10.211.55.1",),
        ),
        "nameservers": Field(
            ListOf(_ADDRESS, most=6, lone=True),
            default=(),
            title="Name servers",
            doc="Addresses of DNS servers.",
            examples=(["10.211.55.1"],),
        ),
        "search": Field(
            ListOf(
                Text(pattern=terms.DNS_NAME, expected="a DNS domain", example="example.com"),
                most=6,
                lone=True,
            ),
            default=(),
            title="Search domains",
            doc="Domains that short names are looked up in.",
            examples=(["example.com"],),
        ),
        "mtu": Field(
            Number(least=_LEAST_MTU, most=_MOST_MTU),
            title="MTU",
            doc="Bytes of the largest packet.",
            examples=(1500,),
        ),
        "routes": Field(
            ListOf(_ROUTE, most=100),
            default=(),
            title="Routes",
            doc="Further static routes.",
            examples=([{"to": "10.0.0.0/8", "via": "10.211.55.254"}],),
        ),
        "bond": Field(
            _BOND,
            title="Bond",
            doc="Several cards as one.",
            examples=({"interfaces": ["eth0", "eth1"], "mode": "802.3ad"},),
        ),
        "vlan": Field(
            Number(least=1, most=_MOST_VLAN),
            title="VLAN",
            doc="The address is on this VLAN of the card or bond.",
            examples=(100,),
        ),
    },
    title="a network configuration",
)
_REGISTRY = Record(
    RegistryAccess,
    {
        "ca": Field(
            _LOCAL, title="Authorities", doc="A PEM file with the authorities of the registry."
        ),
        "credentials": Field(
            Text(
                parse=terms.local,
                expected="a path beside cluster.yaml",
                example="secrets/registry.json",
            ),
            title="Credentials",
            doc="A docker config.json with an entry for the registry; keep it at 0600.",
        ),
    },
    title="what a machine has for the registry",
)
MACHINE = Record(
    _machine,
    {
        "files": Field(
            ListOf(_FILE, most=500),
            default=(),
            title="Files",
            doc="Files of your own.",
            examples=([{"path": "/etc/motd", "content": "welcome"}],),
        ),
        "commands": Field(
            Record(
                lambda before, after: (before, after),
                {
                    "before": Field(
                        _COMMANDS,
                        default=(),
                        title="Before",
                        doc="Run as root before airseed's first step.",
                        examples=(["tuned-adm profile virtual-guest"],),
                    ),
                    "after": Field(
                        _COMMANDS,
                        default=(),
                        title="After",
                        doc="Run as root when the node is in its cluster.",
                        examples=(["systemctl restart site-agent"],),
                    ),
                },
                title="commands",
            ),
            default=((), ()),
            title="Commands",
            doc="Shell commands of your own; each must be fit to run twice.",
            examples=({"before": ["tuned-adm profile virtual-guest"]},),
        ),
        "users": Field(
            ListOf(_USER, most=500),
            default=(),
            title="Users",
            doc="Accounts to make.",
            examples=([{"name": "ops", "ssh-keys": [_PUBLIC], "sudo": True}],),
        ),
        "ssh-keys": Field(
            _SSH_KEYS,
            default=(),
            title="SSH keys",
            doc="Public keys that open the image's own account.",
            examples=([_PUBLIC],),
        ),
        "proxy": Field(
            _PROXY,
            default=Proxy(),
            title="Proxy",
            doc="The way out, where there is one.",
            examples=({"https": "http://proxy.example.com:3128"},),
        ),
        "ntp": Field(
            ListOf(
                Text(
                    parse=machine_terms.server,
                    expected="a host or address",
                    example="ntp.example.com",
                ),
                most=20,
                lone=True,
            ),
            default=(),
            title="Time servers",
            doc="NTP servers that chrony asks. Left out: the image's own configuration.",
            examples=(["ntp.example.com"],),
        ),
        "packages": Field(
            ListOf(
                Text(
                    pattern=terms.PACKAGE, expected="a package name", example="tcpdump", longest=255
                ),
                most=1000,
            ),
            default=(),
            verbs=("lock", "seeds"),
            title="Packages",
            doc="More RPMs to install; they go into the bundle with what they need.",
            examples=(["tcpdump"],),
        ),
        "hosts": Field(
            MapOf(
                ListOf(
                    Text(
                        parse=machine_terms.host_name,
                        expected="a host name",
                        example="registry.example.com",
                    ),
                    least=1,
                    most=20,
                    lone=True,
                ),
                key=r"[0-9A-Fa-f.:]{2,45}",
            ),
            default={},
            title="Hosts",
            doc="Lines of /etc/hosts: names by address. The node's own line is added.",
            examples=({"10.211.55.2": "registry.example.com"},),
        ),
        "network": Field(
            _NETWORK,
            default=MachineNetwork(),
            title="Network",
            doc="How the card with the node's address is configured; the address itself stands "
            "at the node, with its prefix length.",
            examples=({"gateway": "10.211.55.1", "nameservers": ["10.211.55.1"]},),
        ),
        "registry": Field(
            _REGISTRY,
            default=RegistryAccess(),
            title="Registry access",
            doc="What the machine needs to pull from the internal registry.",
            examples=({"ca": "site/registry-ca.pem"},),
        ),
    },
    title="a machine",
)
_KUBEADM = machine_terms.Documents()
MACHINE_FIELD = Field(
    MACHINE,
    default=NOTHING_SAID,
    verbs=("seeds",),
    title="Machine",
    doc="Accounts, files, commands, network, time, proxies. Of cluster, role and node the files, "
    "users, commands, packages and SSH keys add up; of all else the narrower place counts.",
    examples=({"ntp": ["ntp.example.com"]},),
)
KUBEADM_FIELD = Field(
    _KUBEADM,
    default={},
    verbs=("seeds",),
    title="kubeadm documents",
    doc="Raw kubeadm, kubelet and kube-proxy configuration by kind, laid over what airseed makes: "
    "mappings are merged, anything else is replaced.",
    examples=({"ClusterConfiguration": {"apiServer": {"extraArgs": {"profiling": "false"}}}},),
)
_ROLE = Record(
    RoleSettings,
    {"machine": MACHINE_FIELD, "kubeadm": KUBEADM_FIELD},
    title="settings of a role",
)
ROLES_FIELD = Field(
    Record(
        lambda control_plane, worker: {
            role: settings
            for role, settings in (("control-plane", control_plane), ("worker", worker))
            if settings is not None
        },
        {
            "control-plane": Field(
                _ROLE,
                title="Control planes",
                doc="What holds for control planes alone.",
                examples=({"machine": {"ntp": ["ntp.example.com"]}},),
            ),
            "worker": Field(
                _ROLE,
                title="Workers",
                doc="What holds for workers alone.",
                examples=({"machine": {"packages": ["iscsi-initiator-utils"]}},),
            ),
        },
        title="roles",
    ),
    default={},
    verbs=("seeds",),
    title="Roles",
    doc="What holds for one role alone.",
    examples=({"worker": {"machine": {"packages": ["iscsi-initiator-utils"]}}},),
)

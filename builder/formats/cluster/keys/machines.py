"""Keys for machines, for all of them, for a role or for one node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.formats.cluster import foreign, machine_terms, terms
from builder.formats.cluster.keys.cards import NETWORK, PROXY
from builder.formats.records import Field, ListOf, MapOf, Record
from builder.formats.shape import Flag, Number, OneOf, Text
from builder.formats.terms import PACKAGE
from builder.model.cluster import RoleSettings
from builder.model.machine import (
    NOTHING_SAID,
    Machine,
    MachineNetwork,
    Proxy,
    RegistryAccess,
    Snapshots,
    User,
)

if TYPE_CHECKING:
    from typing import Any

_LONGEST_CONTENT = 1 << 20


def _machine(commands: Any, **fields: Any) -> Machine:
    before, after = commands
    return Machine(before=before, after=after, **fields)


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
            doc="Its content; or give a source.",
        ),
        "source": Field(_LOCAL, title="Source", doc="A file beside cluster.yaml with its content."),
        "secret": Field(
            OneOf(("encryption-config",)),
            title="Secret",
            doc="A secret that airseed secrets makes: encryption-config is an "
            "EncryptionConfiguration with a key of this cluster, the same on all control planes.",
            examples=("encryption-config",),
        ),
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
            title="Permissions",
            doc="Octal, in quotes. Left out: 0644, and 0600 for a secret.",
        ),
    },
    title="a file",
)
_PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA... ops"
_SSH_KEYS = ListOf(
    Text(
        parse=machine_terms.ssh_key,
        expected="a public key as in authorized_keys",
        example=_PUBLIC_KEY,
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
            examples=([_PUBLIC_KEY],),
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
_SNAPSHOTS = Record(
    Snapshots,
    {
        "every": Field(
            Text(pattern=r"[1-9][0-9]{0,3}(?:min|h|d)", expected="a span like 6h", example="6h"),
            title="Every",
            doc="How long after one snapshot the next one is taken. Left out: only before changes "
            "and by hand.",
            examples=("6h",),
        ),
        "keep": Field(
            Number(least=1, most=1000),
            title="Keep",
            doc="How many stay on the machine. Left out: 5.",
            examples=(5,),
        ),
        "to": Field(
            Text(
                parse=machine_terms.copies,
                pattern=r"(?:/|https?://)[A-Za-z0-9._~:/@%+-]+",
                expected="an absolute path, or an http or https URL",
                example="/mnt/backup",
                hint="a login for that server goes into /etc/airseed/snapshots.curl of the machine",
                longest=400,
            ),
            title="To",
            doc="Where each one is copied besides: a folder that is mounted there, or one of a "
            "server that takes PUT.",
        ),
    },
    title="snapshots of etcd",
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
            doc="Shell commands of your own; each must be safe to run twice.",
            examples=({"before": ["tuned-adm profile virtual-guest"]},),
        ),
        "users": Field(
            ListOf(_USER, most=500),
            default=(),
            title="Users",
            doc="Accounts to make.",
            examples=([{"name": "ops", "ssh-keys": [_PUBLIC_KEY], "sudo": True}],),
        ),
        "ssh-keys": Field(
            _SSH_KEYS,
            default=(),
            title="SSH keys",
            doc="Public keys that open the image's own account.",
            examples=([_PUBLIC_KEY],),
        ),
        "proxy": Field(
            PROXY,
            default=Proxy(),
            title="Proxy",
            doc="Proxies for reaching other networks, if there are any.",
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
                Text(pattern=PACKAGE, expected="a package name", example="tcpdump", longest=255),
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
            doc="Lines for /etc/hosts: names by address. The node's own line is added.",
            examples=({"10.211.55.2": "registry.example.com"},),
        ),
        "network": Field(
            NETWORK,
            default=MachineNetwork(),
            title="Network",
            doc="How the card with the node's address is configured; the address itself is set at "
            "the node, with its prefix length.",
            examples=({"gateway": "10.211.55.1", "nameservers": ["10.211.55.1"]},),
        ),
        "registry": Field(
            _REGISTRY,
            default=RegistryAccess(),
            title="Registry access",
            doc="What the machine needs to pull from the internal registry.",
            examples=({"ca": "site/registry-ca.pem"},),
        ),
        "selinux": Field(
            OneOf(("permissive", "enforcing", "disabled"), called=foreign.SELINUX),
            title="SELinux",
            doc="What first boot sets SELinux to. Left out: permissive. Where the image has it "
            "disabled, permissive leaves it so.",
            examples=("enforcing",),
        ),
        "firewall": Field(
            OneOf(("off", "ports"), called=foreign.FIREWALL),
            title="Firewall",
            doc="Whether first boot stops firewalld (off), or keeps it running with the ports open "
            "that a node of its role needs (ports). Left out: off.",
            examples=("ports",),
        ),
        "snapshots": Field(
            _SNAPSHOTS,
            default=Snapshots(),
            title="Snapshots",
            doc="How control planes keep snapshots of etcd, below /var/lib/airseed/snapshots.",
            examples=({"every": "6h", "keep": 5},),
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
    doc="Accounts, files, commands, network, time, proxies. May be set for the cluster, a role "
    "and a node: files, users, commands, packages and SSH keys add up; of anything else the "
    "most specific one counts.",
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
    RoleSettings, {"machine": MACHINE_FIELD, "kubeadm": KUBEADM_FIELD}, title="settings of a role"
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
                doc="Settings for control planes only.",
                examples=({"machine": {"ntp": ["ntp.example.com"]}},),
            ),
            "worker": Field(
                _ROLE,
                title="Workers",
                doc="Settings for workers only.",
                examples=({"machine": {"packages": ["iscsi-initiator-utils"]}},),
            ),
        },
        title="roles",
    ),
    default={},
    verbs=("seeds",),
    title="Roles",
    doc="Settings for one role only.",
    examples=({"worker": {"machine": {"packages": ["iscsi-initiator-utils"]}}},),
)

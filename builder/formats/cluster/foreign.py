"""Where a key belongs that a person knows from kubeadm, cloud-init, netplan or the kernel."""

from __future__ import annotations

from builder.formats.cluster.bond_rules import OPTIONS

_BOND = "machine.network.bond"
_KUBEADM = "kubeadm.ClusterConfiguration"
PLACES = {
    # kubeadm's
    **dict.fromkeys(("podsubnet", "podcidr", "clustercidr"), "network.pods"),
    **dict.fromkeys(("servicesubnet", "servicecidr"), "network.services"),
    **dict.fromkeys(("dnsdomain", "clusterdomain"), "network.domain"),
    "networking": "network",
    "controlplaneendpoint": "endpoint",
    "kubernetesversion": "kubernetes",
    **dict.fromkeys(("cluster", "clustername"), "name"),
    "imagerepository": "registry",
    **dict.fromkeys(
        ("apiserver", "controllermanager", "scheduler", "etcd", "featuregates", "certsans"),
        _KUBEADM,
    ),
    **dict.fromkeys(("kubelet", "kubeletconfig"), "kubeadm.KubeletConfiguration"),
    "kubeproxy": "kubeadm.KubeProxyConfiguration",
    "containerruntime": "runtime",
    "master": "roles.control-plane",
    # of machines, as cloud-init and others have them
    **dict.fromkeys(("hostname", "fqdn"), "nodes.name"),
    **dict.fromkeys(("ip", "internalip"), "nodes.address"),
    **dict.fromkeys(("sshauthorizedkeys", "authorizedkeys"), "machine.ssh-keys"),
    "writefiles": "machine.files",
    **dict.fromkeys(("runcmd", "bootcmd"), "machine.commands"),
    "timezone": "machine.commands: timedatectl set-timezone",
    "ntpservers": "machine.ntp",
    "etchosts": "machine.hosts",
    **{f"{name}proxy": f"machine.proxy.{name}" for name in ("http", "https", "no")},
    "rpms": "extra.packages",
    # of the network, as netplan has them
    **dict.fromkeys(("dns", "dnsservers", "nameserver"), "machine.network.nameservers"),
    **dict.fromkeys(("ethernets", "nics"), "machine.network.cards"),
    **dict.fromkeys(("gateway4", "gateway6"), "machine.network.gateway"),
    **dict.fromkeys(("macaddress", "hwaddr"), "mac"),
    "addresses": "address",
    # of a bond: ifcfg, netplan, and the driver itself
    **dict.fromkeys(("slaves", "members", "ports"), f"{_BOND}.interfaces"),
    **dict.fromkeys(("parameters", "ingopts"), f"{_BOND}.options"),
    **{name.replace("_", ""): f"{_BOND}.options.{name}" for name in OPTIONS},
    **{
        theirs: f"{_BOND}.options.{ours}"
        for theirs, ours in {
            "miimonitorinterval": "miimon",
            "transmithashpolicy": "xmit_hash_policy",
            "arpiptargets": "arp_ip_target",
            "primaryreselectpolicy": "primary_reselect",
            "failovermacpolicy": "fail_over_mac",
            "gratuitousarp": "num_grat_arp",
            "learnpacketinterval": "lp_interval",
            "allmembersactive": "all_slaves_active",
            "packetspermember": "packets_per_slave",
        }.items()
    },
}
_ADVICE = {
    **dict.fromkeys(("dhcp", "dhcp4", "dhcp6"), "leave address out: it then comes by DHCP"),
    **dict.fromkeys(
        ("audit", "auditpolicy", "encryption", "encryptionatrest"),
        "airseed init --example hardened shows it",
    ),
    **dict.fromkeys(
        ("masters", "controlplanes", "workers"), "list them under nodes, each with its role"
    ),
    **dict.fromkeys(
        ("apiversion", "kind"), "put kubeadm's documents under kubeadm, each by its kind"
    ),
    **dict.fromkeys(
        ("secrets", "token", "certificatekey"),
        "no secret stands in cluster.yaml: airseed secrets makes them, in files",
    ),
}

SELINUX = {"true": "enforcing", "1": "enforcing", "0": "permissive", "false": "disabled"}
FIREWALL = {
    **dict.fromkeys(("on", "true", "enabled", "firewalld"), "ports"),
    **dict.fromkeys(("false", "disabled", "none"), "off"),
}
"""What else people write for these settings of a machine."""


def place(key: str) -> str | None:
    """Return advice for a key that cluster.yaml does not have under this name."""
    word = key.lower().replace("-", "").replace("_", "")
    found = PLACES.get(word) or PLACES.get(word.removeprefix("bond"))
    return f"write it as {found}" if found else _ADVICE.get(word)

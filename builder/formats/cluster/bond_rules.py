"""The options of a bond, as the kernel's bonding driver takes them.

The driver passes over what does not fit its mode, on a machine that is then without failover; so a
table says what each option takes and where it means something
(https://www.kernel.org/doc/Documentation/networking/bonding.txt).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from builder.errors import did_you_mean
from builder.formats.reading import child

if TYPE_CHECKING:
    from collections.abc import Callable

    from builder.formats.reading import Reading
    from builder.model.machine import Bond

_WATCHING = ("802.3ad", "balance-tlb", "balance-alb")
"""Modes that need miimon, and know no monitoring by ARP."""
_ACTIVE = ("active-backup", "balance-tlb", "balance-alb")
_MOST_TARGETS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class _Option:
    fits: Callable[[str, Bond], bool]
    expected: str
    modes: tuple[str, ...] = ()
    """Where it means something; everywhere when empty."""


def _number(least: int, most: int, modes: tuple[str, ...] = ()) -> _Option:
    return _Option(
        fits=lambda text, _: (
            bool(re.fullmatch(r"[0-9]{1,10}", text)) and least <= int(text) <= most
        ),
        expected=f"a whole number from {least} to {most}",
        modes=modes,
    )


def _words(*words: str, modes: tuple[str, ...] = ()) -> _Option:
    """Take a word or its number, as the driver does."""
    return _Option(
        fits=lambda text, _: text in words or text in map(str, range(len(words))),
        expected=" or ".join(words),
        modes=modes,
    )


def _are_targets(text: str, bond: Bond) -> bool:
    del bond
    targets = text.split(",")
    try:
        return len(targets) <= _MOST_TARGETS and all(IPv4Address(one) for one in targets)
    except ValueError:
        return False


_TIME = _number(0, 2**31 - 1)
_AGGREGATING = ("802.3ad",)
OPTIONS: dict[str, _Option] = {
    "miimon": _TIME,
    "updelay": _TIME,
    "downdelay": _TIME,
    "use_carrier": _words("0", "1"),
    "arp_interval": _TIME,
    "arp_ip_target": _Option(fits=_are_targets, expected="up to 16 IPv4 addresses, with commas"),
    "arp_validate": _words(
        "none", "active", "backup", "all", "filter", "filter_active", "filter_backup"
    ),
    "arp_all_targets": _words("any", "all", modes=("active-backup",)),
    "lacp_rate": _words("slow", "fast", modes=_AGGREGATING),
    "ad_select": _words("stable", "bandwidth", "count", modes=_AGGREGATING),
    "ad_actor_sys_prio": _number(1, 65535, _AGGREGATING),
    "ad_user_port_key": _number(0, 1023, _AGGREGATING),
    "min_links": _number(0, 16, _AGGREGATING),
    "xmit_hash_policy": _words(
        "layer2",
        "layer3+4",
        "layer2+3",
        "encap2+3",
        "encap3+4",
        modes=("balance-xor", "802.3ad", "balance-tlb"),
    ),
    "fail_over_mac": _words("none", "active", "follow", modes=("active-backup",)),
    "primary": _Option(
        fits=lambda text, bond: text in bond.interfaces,
        expected="one of the bond's interfaces",
        modes=_ACTIVE,
    ),
    "primary_reselect": _words("always", "better", "failure", modes=_ACTIVE),
    "num_grat_arp": _number(0, 255, ("active-backup",)),
    "num_unsol_na": _number(0, 255, ("active-backup",)),
    "all_slaves_active": _words("0", "1"),
    "resend_igmp": _number(0, 255),
    "packets_per_slave": _number(0, 65535, ("balance-rr",)),
    "lp_interval": _number(1, 2**31 - 1, ("balance-tlb", "balance-alb")),
    "tlb_dynamic_lb": _words("0", "1", modes=("balance-tlb",)),
}


def check_bond(bond: Bond, path: str, reading: Reading) -> None:
    """Write down what the bonding driver would refuse, or pass over."""
    cards = bond.interfaces
    if len(set(cards)) < len(cards):
        reading.wrong(f"{path}.interfaces", "a card appears twice", expected="each card once")
    elif len(cards) == 1:
        reading.wrong(
            f"{path}.interfaces",
            f"{cards[0]} alone is not a bond: nothing takes over when it fails",
            expected="two cards or more",
            hint="name a second card, or write interface instead of bond",
        )
    elif not cards:
        reading.wrong(f"{path}.interfaces", "no cards", expected="two cards or more")
    if bond.name in cards:
        reading.wrong(f"{path}.name", f"{bond.name} is one of its own interfaces")
    for name, value in bond.options.items():
        _option(name, value, bond, child(f"{path}.options", name), reading)
    _monitoring(bond, f"{path}.options", reading)


def _option(name: str, value: str, bond: Bond, path: str, reading: Reading) -> None:
    known = OPTIONS.get(name)
    if name == "mode":
        reading.wrong(path, "the mode is a key beside the options", hint="write it as mode")
    elif known is None:
        reading.wrong(
            path,
            "the kernel's bonding driver has no such option",
            expected=f"one of {', '.join(OPTIONS)}",
            hint=reading.elsewhere(name) or did_you_mean(name, OPTIONS),
        )
    elif not known.fits(value, bond):
        reading.wrong(path, f"{value!r} is not a value of {name}", expected=known.expected)
    elif known.modes and bond.mode not in known.modes:
        reading.wrong(
            path,
            f"has no effect in the mode {bond.mode}",
            expected=f"mode: {' or '.join(known.modes)}",
        )


def _monitoring(bond: Bond, path: str, reading: Reading) -> None:
    """Check that the bond notices a dead card, in the one way that its mode has."""
    options = bond.options
    said = {name for name in ("miimon", "arp_interval") if options.get(name, "0").strip("0")}
    if len(said) > 1:
        reading.wrong(
            f"{path}.arp_interval", "the driver takes either miimon or arp_interval, not both"
        )
    elif "arp_interval" in said and bond.mode in _WATCHING:
        what = f"the mode {bond.mode} does not monitor by ARP"
        reading.wrong(f"{path}.arp_interval", what, expected="miimon")
    elif "arp_interval" in said and "arp_ip_target" not in options:
        reading.wrong(f"{path}.arp_interval", "needs arp_ip_target: whom to ask")
    elif "miimon" in options and not said:
        reading.wrong(
            f"{path}.miimon", "without miimon no dead card is noticed", expected="100, for example"
        )
    for name in ("updelay", "downdelay"):
        if options.get(name, "0").strip("0") and "arp_interval" in said:
            reading.wrong(child(path, name), "has no effect without miimon")

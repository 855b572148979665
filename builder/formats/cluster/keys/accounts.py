"""Keys for the accounts of a machine."""

from __future__ import annotations

from builder.formats.cluster import machine_terms
from builder.formats.records import Field, ListOf, Record
from builder.formats.shape import Flag, Text
from builder.model.machine import User

PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA... ops"
SSH_KEYS = ListOf(
    Text(
        parse=machine_terms.ssh_key,
        expected="a public key as in authorized_keys",
        example=PUBLIC_KEY,
        longest=20_000,
    ),
    most=200,
    lone=True,
)
USER = Record(
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
            SSH_KEYS,
            default=(),
            title="SSH keys",
            doc="Public keys that open the account.",
            examples=([PUBLIC_KEY],),
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

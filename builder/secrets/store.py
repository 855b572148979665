"""The secrets of one cluster in their folder: made where they are missing, kept where not."""

from __future__ import annotations

import base64
import re
import secrets
from string import ascii_lowercase, digits
from typing import TYPE_CHECKING, Literal

from builder.disk import PUBLIC
from builder.errors import Fault, StorageError, VerificationError
from builder.model.secrets import Secrets
from builder.secrets import authority, pem, signing, supplied
from builder.secrets.folder import OTHERS_MAY_WRITE, Folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from builder.model.cluster import Pki
    from builder.model.secrets import ClusterAuthority
    from builder.secrets.signing import SigningKey

TOKEN = "token"  # noqa: S105 -- the file's name
CERTIFICATE_KEY = "certificate-key"
PHONE_HOME_TOKEN = "phone-home-token"  # noqa: S105 -- likewise
CA, CA_KEY = supplied.CLUSTER
SIGNING_KEY = "signing-key.asc"
"""Signs what is made left of the gap; no machine gets it, so no other secret is read with it."""
PUBLIC_KEY = "signing-key.pub.asc"
"""Its public half, to be given away: what it has signed is checked with it."""
ENCRYPTION = "encryption-config"
"""The API server's key for what etcd holds; made where cluster.yaml asks for it, and never anew."""
Word = Literal["token", "certificate-key", "phone-home-token"]

_HEX = (re.compile(r"[0-9a-f]{64}"), "64 hexadecimal digits in lower case")
_FORMS = {
    TOKEN: (
        re.compile(r"[a-z0-9]{6}\.[a-z0-9]{16}"),
        "6 and 16 lower-case letters or digits with a point between them",
    ),
    # kubeadm takes anything and fails when it uploads, on the first node, at first boot
    CERTIFICATE_KEY: _HEX,
    PHONE_HOME_TOKEN: _HEX,
}
_ENCRYPTION = """\
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers:
  - secretbox:
      keys:
      - {{name: key1, secret: {key}}}
  - identity: {{}}
"""
"""Reads what was written before it, too. secretbox takes 32 bytes, in every release since 1.7."""
_LETTERS = ascii_lowercase + digits
_MAKE = "`airseed secrets` makes it"
_SIGNER = "Site key, made by airseed <airseed@localhost>"


def load(folder: Path, pki: Pki, *, encrypted: bool = False) -> Secrets:
    """Read the secrets of a cluster; the folder of ``pki: files`` is looked up beside ``folder``.

    With ``encrypted`` there is a key for what etcd holds.

    Raises:
        StorageError: some are missing, unreadable or open to others.
        VerificationError: some are damaged, ended, or do not fit together.
    """
    with Folder.open(folder) as room:
        contents = _read(room, _names(pki, encrypted=encrypted), all_of_them=True)
    faults: list[Fault] = []
    words = {name: _word(name, contents[name], folder, faults) for name in _FORMS}
    own = _own(contents, folder, faults) if pki.kind == "generated" else None
    _encryption(contents, folder, faults)
    if faults:
        raise _unusable(folder, faults)
    shared: Mapping[str, str] = {}
    if pki.kind == "files":
        own, shared = supplied.load(supplied_folder(folder, pki))
    return Secrets(
        token=words[TOKEN],
        certificate_key=words[CERTIFICATE_KEY],
        phone_home_token=words[PHONE_HOME_TOKEN],
        authority=own,
        encryption=contents[ENCRYPTION].decode() if encrypted else None,
        shared=shared,
    )


def load_authority(folder: Path, pki: Pki) -> ClusterAuthority | None:
    """Read the cluster's authority alone; it outlives the other secrets. Raises as :func:`load`."""
    if pki.kind == "on-node":
        return None
    if pki.kind == "files":
        return supplied.load(supplied_folder(folder, pki))[0]
    with Folder.open(folder) as room:
        contents = _read(room, (CA, CA_KEY), all_of_them=True)
    faults: list[Fault] = []
    own = _own(contents, folder, faults)
    if faults:
        raise _unusable(folder, faults)
    return own


def load_signing_key(folder: Path) -> SigningKey:
    """Read the key that signs what is made here, alone. Raises as :func:`load`."""
    with Folder.open(folder) as room:
        contents = _read(room, (SIGNING_KEY,), all_of_them=True)
    faults: list[Fault] = []
    key = _signing(contents, folder, faults)
    if key is None:
        raise _unusable(folder, faults)
    return key


def load_phone_home_token(folder: Path) -> str:
    """Read what nodes send along with their results, alone. Raises as :func:`load`."""
    with Folder.open(folder) as room:
        contents = _read(room, (PHONE_HOME_TOKEN,), all_of_them=True)
    faults: list[Fault] = []
    token = _word(PHONE_HOME_TOKEN, contents[PHONE_HOME_TOKEN], folder, faults)
    if faults:
        raise _unusable(folder, faults)
    return token


def prepare(
    folder: Path, pki: Pki, *, rotate: Sequence[Word] = (), encrypted: bool = False
) -> tuple[str, ...]:
    """Make what is missing and what ``rotate`` names; return the names of the files written.

    Nothing is written when something that stays is wrong. Two runs at once write one after the
    other, so that the second finds what the first made. Raises as :func:`load`.
    """
    if pki.kind == "files":
        supplied.load(supplied_folder(folder, pki))
    with Folder.open(folder, create=True) as room, room.locked():
        names = (*_names(pki, encrypted=encrypted), SIGNING_KEY)
        contents = _read(room, [name for name in names if name not in rotate])
        _check(contents, folder)
        wanted: dict[str, str] = {}
        if TOKEN not in contents:
            wanted[TOKEN] = f"{_new_token()}\n"
        for name in (CERTIFICATE_KEY, PHONE_HOME_TOKEN):
            if name not in contents:
                # 32 bytes, for AES-256 and against guessing
                wanted[name] = f"{secrets.token_hex(32)}\n"
        if pki.kind == "generated" and CA not in contents:
            # The key goes first: a run that is cut between the two finds it and goes on.
            own = pem.private_key(contents[CA_KEY]) if CA_KEY in contents else authority.new_key()
            if CA_KEY not in contents:
                wanted[CA_KEY] = pem.key_text(own)
            wanted[CA] = pem.certificate_text(authority.self_signed(own))
        if SIGNING_KEY not in contents:
            wanted[SIGNING_KEY] = signing.new(_SIGNER).secret.decode()
        if encrypted and ENCRYPTION not in contents:
            key = base64.b64encode(secrets.token_bytes(32)).decode()
            wanted[ENCRYPTION] = _ENCRYPTION.format(key=key)
        for name, text in wanted.items():
            room.write(name, text.encode())
    return tuple(wanted)


def publish(
    folder: Path, public: bytes, *, is_same: Callable[[bytes], bool]
) -> Literal["made", "replaced", "kept"]:
    """Put the signing key's public half beside it, unless it lies there; tell what was done.

    ``is_same`` tells whether what lies there begins with this key; then it stays as it is, for
    other keys may have been added to it. Anything else is of a key that was replaced. Raise
    StorageError.
    """
    with Folder.open(folder) as room, room.locked():
        there = room.read(PUBLIC_KEY, forbidden=OTHERS_MAY_WRITE)
        if isinstance(there, bytes) and is_same(there):
            return "kept"
        room.write(PUBLIC_KEY, public, mode=PUBLIC)
    return "made" if there is None else "replaced"


def supplied_folder(folder: Path, pki: Pki) -> Path:
    return folder.parent / (pki.folder or "")


def _names(pki: Pki, *, encrypted: bool) -> tuple[str, ...]:
    own = (CA, CA_KEY) if pki.kind == "generated" else ()
    return (*_FORMS, *own, ENCRYPTION) if encrypted else (*_FORMS, *own)


def _read(room: Folder, names: Iterable[str], *, all_of_them: bool = False) -> dict[str, bytes]:
    """Read files that are there and closed to others; raise StorageError with all faults."""
    contents: dict[str, bytes] = {}
    faults: list[Fault] = []
    for name in names:
        content = room.read(name)
        if isinstance(content, Fault):
            faults.append(content)
        elif content is not None:
            contents[name] = content
        elif all_of_them and name == CA_KEY and CA in contents:
            faults.append(_lost(room.path))
        elif all_of_them:
            faults.append(Fault(where=str(room.path / name), what="is missing", hint=_MAKE))
    if faults:
        raise StorageError("the secrets can't be used", where=str(room.path), faults=faults)
    return contents


def _check(contents: Mapping[str, bytes], folder: Path) -> None:
    """Raise VerificationError when something that is there would not do."""
    faults: list[Fault] = []
    for name in _FORMS:
        if name in contents:
            _word(name, contents[name], folder, faults)
    _encryption(contents, folder, faults)
    _signing(contents, folder, faults)
    if CA in contents and CA_KEY in contents:
        _own(contents, folder, faults)
    elif CA_KEY in contents:
        pem.attempt(pem.private_key, contents[CA_KEY], str(folder / CA_KEY), faults)
    elif CA in contents:
        faults.append(_lost(folder))
    if faults:
        raise _unusable(folder, faults)


def _lost(folder: Path) -> Fault:
    """Say that the authority's key is gone, which no run may make anew."""
    return Fault(
        where=str(folder / CA_KEY),
        what="is missing, and nothing else can sign for ca.crt",
        hint="restore it from your backup; where no node has booted yet, delete ca.crt",
    )


def _new_token() -> str:
    """Make a bootstrap token; 16 letters of 36 are 82 bits."""
    return ".".join("".join(secrets.choice(_LETTERS) for _ in range(length)) for length in (6, 16))


def _word(name: str, content: bytes, folder: Path, faults: list[Fault]) -> str:
    """Read a token or the certificate key; what stands there instead is not repeated."""
    pattern, form = _FORMS[name]
    text = content.decode("ascii", "replace").strip()
    if not pattern.fullmatch(text):
        faults.append(
            Fault(
                where=str(folder / name),
                what=f"holds no {name.replace('-', ' ')}",
                expected=form,
                hint=f"`airseed secrets --rotate {name}` makes a new one",
            )
        )
    return text


def _encryption(contents: Mapping[str, bytes], folder: Path, faults: list[Fault]) -> None:
    """Check that the key is there; somebody may have added others for a rotation."""
    if ENCRYPTION in contents and b"kind: EncryptionConfiguration" not in contents[ENCRYPTION]:
        faults.append(
            Fault(
                where=str(folder / ENCRYPTION),
                what="is not an EncryptionConfiguration",
                hint="restore it from your backup; without its key nobody reads what etcd holds",
            )
        )


def _signing(contents: Mapping[str, bytes], folder: Path, faults: list[Fault]) -> SigningKey | None:
    if SIGNING_KEY not in contents:
        return None
    try:
        return signing.read(contents[SIGNING_KEY])
    except ValueError as error:
        faults.append(
            Fault(
                where=str(folder / SIGNING_KEY),
                what=str(error),
                expected="an RSA key for OpenPGP, armoured and without a password",
                hint="restore it from your backup; without it `airseed secrets` makes another, and"
                " `airseed lock` signs anew",
            )
        )
        return None


def _own(
    contents: Mapping[str, bytes], folder: Path, faults: list[Fault]
) -> ClusterAuthority | None:
    where = (str(folder / CA), str(folder / CA_KEY))
    return authority.read(contents[CA], contents[CA_KEY], where=where, faults=faults)


def _unusable(folder: Path, faults: list[Fault]) -> VerificationError:
    return VerificationError("the secrets can't be used", where=str(folder), faults=faults)

"""Tar headers as bundle format 1 has them, written and read back byte for byte.

GNU format: an ``L`` entry carries a path of more than 100 bytes, base-256 a size of more than
8 GiB. Python's tarfile is not used, because its headers changed between versions (device
numbers of plain files) and a format is for ever. Reading is strict in the simplest way: a header
is right when writing its path and size again gives the same bytes.
https://www.gnu.org/software/tar/manual/html_node/Standard.html
"""

from __future__ import annotations

BLOCK = 512
RECORD = 20480
"""The length of a bundle is a multiple of this: of tar's 10 KiB records and of 4 KiB sectors."""
LONGEST_PATH = 1024
"""Bytes; so a member's headers take at most four blocks."""
_MTIME = 315532800
"""1980-01-01: CentOS 7's tar complains of every older file, and FAT knows none."""
_NAME = 100
_LONG_NAME = "././@LongLink"
_OCTAL_LIMIT = 8**11
_MAGIC = b"ustar  \0"
_KINDS = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a character device",
    b"4": "a block device",
    b"5": "a folder",
    b"6": "a pipe",
    b"S": "a sparse file",
    b"x": "a pax header",
    b"g": "a pax header",
    b"K": "a long link name",
}


def header(path: str, size: int) -> bytes:
    name = path.encode()
    if len(name) <= _NAME:
        return _block(name, size, b"0")
    long = name + b"\0"
    return (
        _block(_LONG_NAME.encode(), len(long), b"L")
        + long
        + bytes(padding(len(long)))
        + _block(name[:_NAME], size, b"0")
    )


def padding(size: int) -> int:
    return -size % BLOCK


def read_header(blocks: bytes) -> tuple[str, int, int]:
    """Read a member's header from (at least) the bytes that hold it.

    Give path, size, and the length of the header. Raise ValueError with the end of a sentence
    about this member for everything that :func:`header` would not have written.
    """
    name, size, kind = _fields(blocks[:BLOCK])
    length = BLOCK
    if kind == b"L":
        if not 0 < size <= LONGEST_PATH + 1:
            raise ValueError(f"has a path of {size} bytes")
        name = blocks[BLOCK : BLOCK + size].rstrip(b"\0")
        length = 2 * BLOCK + size + padding(size)
        _, size, kind = _fields(blocks[length - BLOCK : length])
    if kind != b"0":
        raise ValueError(f"is {_KINDS.get(kind, 'of an unknown kind')}, not a plain file")
    try:
        path = name.decode()
    except UnicodeDecodeError as error:
        raise ValueError("has a path that is not UTF-8") from error
    if header(path, size) != blocks[:length]:
        raise ValueError("has a header that is not as format 1 writes it")
    return path, size, length


def _block(name: bytes, size: int, kind: bytes) -> bytes:
    sized = b"%011o\0" % size if size < _OCTAL_LIMIT else b"\x80" + size.to_bytes(11, "big")
    before = name.ljust(_NAME, b"\0") + b"0000644\0" + b"0000000\0" * 2 + sized
    before += b"%011o\0" % _MTIME
    after = (kind + bytes(_NAME) + _MAGIC).ljust(BLOCK - len(before) - 8, b"\0")
    total = sum(before) + 8 * ord(" ") + sum(after)
    return before + b"%06o\0 " % total + after


def _fields(block: bytes) -> tuple[bytes, int, bytes]:
    """Return name, size and kind out of one block; raise ValueError when it is none."""
    if len(block) < BLOCK:
        raise ValueError("is cut off within its header")
    if sum(block[:148]) + 8 * ord(" ") + sum(block[156:]) != _octal(block[148:156]):
        raise ValueError("has a header whose checksum is wrong")
    sized = block[124:136]
    size = int.from_bytes(sized[1:], "big") if sized[0] == 0x80 else _octal(sized)  # noqa: PLR2004 -- marks base 256
    return block[:_NAME].rstrip(b"\0"), size, block[156:157]


def _octal(field: bytes) -> int:
    text = field.rstrip(b"\0 ")
    if not text or text.strip(b"01234567"):
        raise ValueError("has a header with an invalid number")
    return int(text, 8)

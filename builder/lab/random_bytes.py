"""Made-up bytes: the same for the same seed, and too random for any compressor."""

from __future__ import annotations

import hashlib
import io
import struct

_BLOCK = 1 << 20
_LOAD_ADDRESS = 0x400000
_WORDS = b"airseed lab: this program stands in for the real one\n"


class RandomFile(io.RawIOBase):
    """Read ``size`` seeded random bytes as a file, with no more than one block in memory."""

    def __init__(self, seed: str, size: int) -> None:
        super().__init__()
        self._seed = seed
        self._left = size
        self._number = 0
        self._block = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        """Fill a buffer as far as the current block reaches."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        if not self._block and self._left:
            text = f"{self._seed} {self._number}".encode()
            self._number += 1
            length = min(_BLOCK, self._left)
            self._left -= length
            self._block = memoryview(hashlib.shake_128(text).digest(length))
        count = min(len(view), len(self._block))
        view[:count] = self._block[:count]
        self._block = self._block[count:]
        return count


def random_bytes(seed: str, size: int) -> bytes:
    return io.BufferedReader(RandomFile(seed, size)).read()


def program(architecture: str) -> bytes:
    """Return a tiny static Linux program that says what it is and ends well.

    For processors other than amd64 and arm64 there are only words.
    """
    if architecture == "amd64":
        code = (
            b"\xb8\x01\x00\x00\x00"  # mov eax, 1 (write)
            b"\xbf\x01\x00\x00\x00"  # mov edi, 1
            b"\x48\x8d\x35\x10\x00\x00\x00"  # lea rsi, [rip + 16]: the words
            b"\xba"
            + struct.pack("<I", len(_WORDS))  # mov edx, length
            + b"\x0f\x05"  # syscall
            b"\xb8\x3c\x00\x00\x00"  # mov eax, 60 (exit)
            b"\x31\xff"  # xor edi, edi
            b"\x0f\x05"  # syscall
        )
        return _elf(62, code + _WORDS)
    if architecture == "arm64":
        steps = [
            0xD2800020,  # mov x0, 1
            0x100000E1,  # adr x1, 28 bytes on: the words
            0xD2800002 | len(_WORDS) << 5,  # mov x2, length
            0xD2800808,  # mov x8, 64 (write)
            0xD4000001,  # svc 0
            0xD2800000,  # mov x0, 0
            0xD2800BA8,  # mov x8, 93 (exit)
            0xD4000001,  # svc 0
        ]
        return _elf(183, struct.pack("<8I", *steps) + _WORDS)
    return _WORDS


def _elf(machine: int, code: bytes) -> bytes:
    """Wrap code as a 64-bit ELF executable of one segment."""
    size = 64 + 56 + len(code)
    entry = _LOAD_ADDRESS + 64 + 56
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\x00")
    head = struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, entry, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _LOAD_ADDRESS, _LOAD_ADDRESS, size, size, 0x1000)
    return ident + head + segment + code

"""Ask the DNS server at ADDRESS for NAME's A record; print rcode, and the addresses it gives.

usage: ask.py ADDRESS NAME
"""

import socket
import struct
import sys

server, name = sys.argv[1:]
words = b"".join(bytes([len(word)]) + word.encode() for word in name.split("."))
question = struct.pack(">6H", 7, 0x100, 1, 0, 0, 0) + words + b"\0\0\1\0\1"
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
    one.settimeout(5)
    one.sendto(question, (server, 53))
    answer = one.recv(1500)
count = struct.unpack(">H", answer[6:8])[0]
last = ".".join(map(str, answer[-4:])) if count else "-"
print(answer[3] & 15, count, last)

"""Ask the DNS server at ADDRESS for NAME's record; print rcode, how many there are, and the last.

usage: ask.py ADDRESS NAME [A|AAAA]
"""

import ipaddress
import socket
import struct
import sys

server, name, kind = (*sys.argv[1:], "A")[:3]
words = b"".join(bytes([len(word)]) + word.encode() for word in name.split("."))
number, length = {"A": (1, 4), "AAAA": (28, 16)}[kind]
question = struct.pack(">6H", 7, 0x100, 1, 0, 0, 0) + words + struct.pack(">BHH", 0, number, 1)
family = socket.AF_INET6 if ":" in server else socket.AF_INET
with socket.socket(family, socket.SOCK_DGRAM) as one:
    one.settimeout(5)
    one.sendto(question, (server, 53))
    answer = one.recv(1500)
count = struct.unpack(">H", answer[6:8])[0]
last = str(ipaddress.ip_address(answer[-length:])) if count else "-"
print(answer[3] & 15, count, last)

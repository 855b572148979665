"""Ask servers again and again, each by itself, and write down every answer.

usage: probe.py FILE SECONDS CA CERTIFICATE KEY TARGET..., with a TARGET a URL, or dns:ADDRESS:PORT

FILE gets a line for each question: when it was asked, the target, the seconds, and what was wrong.
The next one comes after SECONDS, whether or not the last one is answered by then.
"""

import http.client
import json
import socket
import ssl
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

PATIENCE = 5.0
QUESTION = b"\0\7\1\0\0\1\0\0\0\0\0\0\3who\7example\0\0\1\0\1"

file, each, authority, certificate, key, *targets = sys.argv[1:]
tls = ssl.create_default_context(cafile=authority)
tls.load_cert_chain(certificate, key)
book = Path(file).open("a", buffering=1, encoding="utf-8")  # noqa: SIM115 -- for the whole run
one_by_one = threading.Lock()


def ask_api(url: str) -> str:
    """Get a URL over a connection of its own; say what is wrong."""
    parts = urlsplit(url)
    one = http.client.HTTPSConnection(parts.netloc, timeout=PATIENCE, context=tls)
    try:
        one.request("GET", parts.path)
        answer = one.getresponse()
        answer.read()
    finally:
        one.close()
    return "" if answer.status == 200 else f"HTTP {answer.status}"


def ask_dns(target: str) -> str:
    """Ask twice at most, as resolvers do; each time from another port."""
    _, host, port = target.split(":")
    for left in (1, 0):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.settimeout(2)
            try:
                one.sendto(QUESTION, (host, int(port)))
                one.recv(1500)
            except OSError:
                if not left:
                    raise
            else:
                return ""
    return ""


def ask(target: str) -> None:
    """Ask a target once, and write down what came of it."""
    began, mono = time.time(), time.monotonic()
    try:
        wrong = (ask_dns if target.startswith("dns:") else ask_api)(target)
    except (OSError, http.client.HTTPException) as error:
        wrong = f"{type(error).__name__}: {error}"
    took = time.monotonic() - mono
    line = {"at": round(began, 3), "target": target, "took": round(took, 3), "wrong": wrong}
    with one_by_one:
        book.write(json.dumps(line) + "\n")


while True:
    for target in targets:
        threading.Thread(target=ask, args=(target,), daemon=True).start()
    time.sleep(float(each))

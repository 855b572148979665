"""Keep what is sent: ``hear.py ADDRESS PORT FILE`` adds the body of every POST as a line.

Below ``authorization`` it has what the sender shows.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path


class Hearer(BaseHTTPRequestHandler):
    """Answer 204 and write the document down."""

    def do_POST(self) -> None:
        """Take one result.json."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        body["authorization"] = self.headers["Authorization"]
        with Path(sys.argv[3]).open("a", encoding="utf-8") as file:
            file.write(json.dumps(body) + "\n")
        self.send_response(204)
        self.end_headers()

    def log_message(self, *words: object) -> None:
        """Say nothing."""


HTTPServer((sys.argv[1], int(sys.argv[2])), Hearer).serve_forever()

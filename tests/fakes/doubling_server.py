"""Runs a real server and stands before it, doubling the tokens that its answers say they hold; standard library only.

    doubling_server.py usage|half PROGRAM ARGUMENTS…

- ``usage`` doubles every count of output tokens, as an engine would that counts them twice;
- ``half`` also asks the server for half of the tokens, so that its answers say what was asked.

The server's own counters (``/metrics``) and everything else go through as they are.
"""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_COUNT = re.compile(rb'"(completion_tokens|predicted_n)":\s*(\d+)')
_NOT_FORWARDED = frozenset({"host", "connection", "content-length", "transfer-encoding"})


def doubled(data: bytes) -> bytes:
    """Return a piece of an answer with its counts doubled."""
    return _COUNT.sub(lambda match: b'"%s":%d' % (match[1], 2 * int(match[2])), data)


def handler(port: int, how: str) -> type[BaseHTTPRequestHandler]:
    """Return what answers for the server at a port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.forward(None)

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if how == "half":
                asked["max_tokens"] //= 2
            self.forward(json.dumps(asked).encode())

        def forward(self, body: bytes | None) -> None:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _NOT_FORWARDED}
            connection = http.client.HTTPConnection("127.0.0.1", port)
            try:
                connection.request(self.command, self.path, body, headers)
                answer = connection.getresponse()
            except OSError:
                self.send_error(503)
                return
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in _NOT_FORWARDED:
                    self.send_header(name, value)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            while line := answer.readline():
                data = line if self.path == "/metrics" else doubled(line)
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.write(b"0\r\n\r\n")
            connection.close()
            self.close_connection = True

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


def main(how: str, program: str, *given: str) -> int:
    """Serve until the server behind ends."""
    arguments = list(given)
    if "--port" not in arguments:
        return subprocess.run([program, *arguments], check=False).returncode
    place = arguments.index("--port") + 1
    port = int(arguments[place])
    server = ThreadingHTTPServer(("127.0.0.1", port), BaseHTTPRequestHandler)
    free = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    arguments[place] = str(free.server_address[1])
    free.server_close()
    server.RequestHandlerClass = handler(int(arguments[place]), how)
    with subprocess.Popen([program, *arguments]) as process:
        server.timeout = 0.05
        while process.poll() is None:
            server.handle_request()
        time.sleep(0.1)
    return process.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

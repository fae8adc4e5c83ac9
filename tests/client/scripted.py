"""A small HTTP server that answers from a list and remembers what it was asked."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NOBODY = "http://127.0.0.1:9"
"""An address where nothing listens (the discard port)."""


@dataclass(frozen=True)
class Answer:
    """What the server says next; `status` 0 hangs up instead."""

    status: int
    body: str = "{}"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Scripted:
    """The server's address, and what it was asked so far."""

    url: str
    asked: list[Asked]


@contextmanager
def scripted(answers: Sequence[Answer]) -> Iterator[Scripted]:
    """Serve the answers in turn, on a free port."""
    left, asked = list(answers), list[Asked]()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked.append(Asked(self.path, dict(self.headers.items()), body))
            answer = left.pop(0)
            if answer.status == 0:
                self.close_connection = True
                return
            content = answer.body.encode()
            self.send_response(answer.status)
            for name, value in {"Content-Length": str(len(content)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET
        do_DELETE = do_GET

        def log_message(self, format: str, *arguments: object) -> None:
            """Stay quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield Scripted(f"http://127.0.0.1:{server.server_port}", asked)
        finally:
            server.shutdown()
            thread.join()

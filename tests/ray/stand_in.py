"""Ray's Jobs API without Ray: jobs are processes of this host, for tests of what we do before, beside and after a cluster."""

import json
import os
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self


class StandIn:
    """Answers as the dashboard of a Ray cluster would. With a `status` it starts nothing, and says that of every job.

    The first `refusals` submissions are refused, as by a head that is just starting.
    """

    def __init__(self, status: str | None = None) -> None:
        self.status = status
        self.refusals = 0
        self.jobs: dict[str, subprocess.Popen[bytes] | None] = {}
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"

    def submit(self, name: str, entrypoint: str) -> None:
        environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        starts = self.status is None
        self.jobs[name] = subprocess.Popen(entrypoint, shell=True, start_new_session=True, env=environment) if starts else None

    def describe(self, name: str) -> dict[str, str]:
        process = self.jobs[name]
        code = None if process is None else process.poll()
        return {"status": self.status or {None: "RUNNING", 0: "SUCCEEDED"}.get(code, "FAILED"), "message": f"exit code {code}"}

    def end(self, name: str) -> None:
        process = self.jobs[name]
        if process is not None and process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def __enter__(self) -> Self:
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.server.shutdown()
        self.server.server_close()
        for name in self.jobs:
            self.end(name)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        ray = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.rpartition("/")[2]
                if name == "version":
                    self._answer(200, {})
                elif name in ray.jobs:
                    self._answer(200, ray.describe(name))
                else:
                    self._answer(404, {})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if self.path == "/api/jobs/" and ray.refusals > 0:
                    ray.refusals -= 1
                    self._answer(500, {})
                    return
                if self.path == "/api/jobs/":
                    asked = json.loads(body)
                    ray.submit(asked["submission_id"], asked["entrypoint"])
                else:
                    ray.end(self.path.split("/")[-2])
                self._answer(200, {})

            def _answer(self, status: int, body: dict[str, str]) -> None:
                content = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                """Nobody reads it."""

        return Handler

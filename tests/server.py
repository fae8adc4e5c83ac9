"""A real server in a real process, for tests that kill it, and for clients that talk to it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import psutil

START_S = 120


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Server:
    """`counterweight serve` on a home of its own; `client` speaks to it."""

    def __init__(self, home: Path, **settings: str) -> None:
        self.home = home
        self.command = [sys.executable, "-P", "-m", "service"]
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("COUNTERWEIGHT_")}
        ours = {f"COUNTERWEIGHT_{name.upper()}": value for name, value in settings.items()}
        self.environment = clean | {"COUNTERWEIGHT_HOME": str(home), "COUNTERWEIGHT_BIND": f"127.0.0.1:{self.port}"} | ours
        self.client = httpx.Client(base_url=f"{self.url}/api/v1", timeout=90)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return (self.home.parent / f"{self.home.name}.log").read_text(errors="replace")

    @property
    def tale(self) -> str:
        """What the log says, without each request."""
        return "\n".join(line for line in self.log.splitlines() if "service.api.journal" not in line)

    def start(self) -> "Server":
        """Start it and return once it answers."""
        with (self.home.parent / f"{self.home.name}.log").open("ab") as log:
            self.process = subprocess.Popen(self.command, env=self.environment, stderr=log, stdin=subprocess.DEVNULL, cwd=self.home.parent)
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/readyz", timeout=10).status_code == 200:
                    return self
            assert self.process.poll() is None, self.tale
            time.sleep(0.05)
        raise AssertionError(f"no answer within {START_S} s:\n{self.tale}")

    def stop(self) -> int:
        """Ask it to end; return its exit status."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout=40)

    def part(self, name: str) -> psutil.Process:
        """The process of a part, by a word of its command line: `service.api` or `workers`."""
        assert self.process is not None
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            for child in psutil.Process(self.process.pid).children():
                with contextlib.suppress(psutil.NoSuchProcess):
                    if name in child.cmdline():
                        return child
            time.sleep(0.02)
        raise AssertionError(f"no process of {name}")

    def trainers(self) -> list[psutil.Process]:
        """The running trainers of its own worker."""
        return trainers_of(self.part("workers"))

    def start_worker(self, name: str, **environment: str) -> "subprocess.Popen[bytes]":
        """Start a worker of one slot beside the server, on a home of its own."""
        ours = {"COUNTERWEIGHT_HOME": str(self.home.parent / name), "COUNTERWEIGHT_WORKERS": "1"}
        command = [sys.executable, "-P", "-m", "workers"]
        with (self.home.parent / f"{self.home.name}.log").open("ab") as log:
            return subprocess.Popen(command, env=self.environment | ours | environment, stderr=log, stdin=subprocess.DEVNULL)

    def kill_everything(self) -> None:
        """SIGKILL to the supervisor and all that came from it, as a power cut would."""
        assert self.process is not None
        family = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        self.process.wait()

    def __enter__(self) -> "Server":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.client.close()
        if self.process is not None and self.process.poll() is None:
            self.stop()

    def upload(self, content: bytes, **options: Any) -> str:
        """Upload a table and wait until it is ready; return its id."""
        answer = self.client.post("/datasets", files={"file": ("table.csv", content)}, data={"options": json.dumps(options)})
        assert answer.status_code in (200, 201, 202), answer.text
        dataset = self.wait(f"/datasets/{answer.json()['id']}", lambda body: body["state"] != "processing")
        assert dataset["state"] == "ready", dataset
        return str(dataset["id"])

    def submit(self, dataset_id: str, **spec: Any) -> str:
        """Queue a job, of a quick learner where none is named; return its id."""
        answer = self.client.post("/jobs", json={"dataset_id": dataset_id, "learner": {"kind": "mlp"}, **spec})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def finish(self, job_id: str, timeout_s: float = 120) -> dict[str, Any]:
        """Wait until a job has ended; return it."""
        return self.wait(f"/jobs/{job_id}", lambda body: body["is_terminal"], timeout_s)

    def read(self, path: str, **params: str) -> dict[str, Any]:
        """Read a resource, asking again while the API is being started anew."""
        deadline = time.monotonic() + START_S
        while True:
            try:
                answer = self.client.get(path, params=params)
            except httpx.TransportError:
                assert time.monotonic() < deadline, self.tale
                time.sleep(0.05)
                continue
            assert answer.status_code == 200, answer.text
            return dict(answer.json())

    def wait(self, path: str, is_enough: Any, timeout_s: float = 120) -> dict[str, Any]:
        """Read a resource until it is as wanted, through restarts of the server."""
        deadline = time.monotonic() + timeout_s
        body = self.read(path)
        while not is_enough(body):
            assert time.monotonic() < deadline, f"{path} is still {body}\n{self.tale}"
            body = self.read(path, wait="2", since_version=str(body["version"]))
        return body


def trainers_of(worker: psutil.Process) -> list[psutil.Process]:
    """The running trainers of a worker: children of its fork server."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return [child for server in worker.children() for child in server.children()]
    return []

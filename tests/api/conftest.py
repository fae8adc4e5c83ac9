"""The application over a fresh record, asked without a network; and a real server process for what needs one."""

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from counterweight.settings import ServerSettings
from service.api.app import make_app
from service.api.sockets import bind
from service.persistence.database import Database
from service.persistence.files import Files
from tests import records

HOST = "http://localhost"


class Api:
    """Asks an application as a client would, one request after another."""

    def __init__(self, app: FastAPI, **headers: str) -> None:
        self.app = app
        self._runner = asyncio.Runner()
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=HOST, headers=headers)

    def ask(self, method: str, path: str, **rest: Any) -> httpx.Response:
        return self._runner.run(self._client.request(method, path, **rest))

    def ask_at_once(self, requests: Iterable[tuple[str, str, dict[str, Any]]]) -> list[httpx.Response]:
        """Send requests, each as its method, path and arguments, before any of them is answered; return their answers in order."""

        async def all_of_them() -> list[httpx.Response]:
            return await asyncio.gather(*(self._client.request(method, path, **rest) for method, path, rest in requests))

        return self._runner.run(all_of_them())

    def get(self, path: str, **rest: Any) -> httpx.Response:
        return self.ask("GET", path, **rest)

    def post(self, path: str, **rest: Any) -> httpx.Response:
        return self.ask("POST", path, **rest)

    def upload(self, content: bytes = b"age,label\n1,good\n2,bad\n", **form: str) -> httpx.Response:
        return self.post("/api/v1/datasets", files={"file": ("table.csv", content)}, data=form)

    def submit(self, dataset_id: str, headers: dict[str, str] | None = None, **spec: Any) -> httpx.Response:
        return self.post("/api/v1/jobs", json={"dataset_id": dataset_id, **spec}, headers=headers)

    def close(self) -> None:
        self._runner.run(self._client.aclose())
        self._runner.close()


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> ServerSettings:
    return ServerSettings(home=tmp_path, database_url=database_url, max_upload_bytes=100_000)


@pytest.fixture
def api(settings: ServerSettings, database: Database, files: Files) -> Iterator[Api]:
    api = Api(make_app(settings, database, files))
    yield api
    api.close()


class Process:
    """`python -m service.api` on a socket of its own, as the supervisor starts it."""

    def __init__(self, home: Path, database_url: str, **environment: str) -> None:
        self.listener = bind("127.0.0.1", 0)
        self.port = int(self.listener.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.home, self.database_url = home, database_url
        self.log_path = home / "api.log"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("COUNTERWEIGHT_")}
        ours = {"COUNTERWEIGHT_HOME": str(home), "COUNTERWEIGHT_DATABASE_URL": database_url, **environment}
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "service.api", "--fd", str(self.listener.fileno())],
                pass_fds=[self.listener.fileno()],
                stdin=subprocess.PIPE,
                stderr=log,
                env=clean | ours,
            )
        self.listener.close()
        self.client = httpx.Client(base_url=self.url, timeout=30)

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def wait_until_ready(self) -> "Process":
        assert self.client.get("/readyz").status_code == 200, self.log  # The socket listens already: this waits for the process.
        return self

    def end(self) -> None:
        self.client.close()
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait(timeout=20)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, sqlite_template: str) -> Iterator[Process]:
    """One process for all tests of a module that leave it as it was."""
    home = tmp_path_factory.mktemp("server")
    with records.copied(sqlite_template, home) as url:
        process = Process(home, url)
        yield process.wait_until_ready()
        process.end()


@pytest.fixture
def process(tmp_path: Path, database_url: str) -> Iterator[Process]:
    process = Process(tmp_path, database_url)
    yield process.wait_until_ready()
    process.end()


class Poll:
    """A request on its way, in a thread of its own."""

    def __init__(self, url: str, **params: object) -> None:
        self.answer: httpx.Response | None = None
        self.seconds = 0.0
        self._thread = threading.Thread(target=self._ask, args=(url, params))
        self._thread.start()

    def _ask(self, url: str, params: dict[str, str]) -> None:
        started = time.monotonic()
        self.answer = httpx.get(url, params=params, timeout=60)
        self.seconds = time.monotonic() - started

    def join(self) -> httpx.Response:
        self._thread.join()
        assert self.answer is not None
        return self.answer


def until_waiting(process: Process) -> None:
    """Give a poll time to arrive: the tests hold whether it came before the change or after, but before is what they are about."""
    for _ in range(10):
        process.client.get("/readyz")


def until(claim: Any, timeout_s: float = 10) -> None:
    """Wait until `claim()` holds: for what happens in another process."""
    deadline = time.monotonic() + timeout_s
    while not claim():
        assert time.monotonic() < deadline, "this did not come about"
        time.sleep(0.01)

"""A real service in real processes, and the real command line to talk to it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from counterweight.client import Client
from tests.server import Server
from tests.tables_of_numbers import two_blobs

BINARY = Path(sys.executable).parent / "counterweight"
ENDLESS = {"max_epochs": 100_000, "early_stopping": None}
"""`training` of a job that goes on until it is cancelled."""


@dataclass(frozen=True)
class CommandLine:
    """Runs `counterweight` against a server, from a folder."""

    url: str
    folder: Path

    def environment(self, **settings: str) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("COUNTERWEIGHT_")}
        return {**clean, "COUNTERWEIGHT_URL": self.url, **{f"COUNTERWEIGHT_{name.upper()}": value for name, value in settings.items()}}

    def run(self, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [BINARY, *arguments], env=self.environment(**settings), cwd=self.folder, capture_output=True, text=True, timeout=120
        )

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [BINARY, *arguments], env=self.environment(), cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server") / "home", devices="cpu") as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server.url) as client:
        yield client


@pytest.fixture
def cli(server: Server, tmp_path: Path) -> CommandLine:
    return CommandLine(server.url, tmp_path)


@pytest.fixture
def blobs(tmp_path: Path) -> Path:
    """A table of two classes, the same for all tests, and so one dataset."""
    path = tmp_path / "blobs.csv"
    path.write_bytes(two_blobs())
    return path


@pytest.fixture(scope="session")
def dataset_id(server: Server) -> str:
    return server.upload(two_blobs(), target="event")


@pytest.fixture
def endless_job_id(server: Server, dataset_id: str) -> Iterator[str]:
    """A job that goes on during the test, and not longer."""
    job_id = server.submit(dataset_id, training=ENDLESS)
    yield job_id
    server.client.post(f"/jobs/{job_id}/cancel")
    server.finish(job_id)

"""Servers that are killed, on each database."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.server import Server

ServerFactory = Callable[..., Server]

LEASE_S = "2"


@pytest.fixture
def serve(tmp_path: Path, database_url: str) -> Iterator[ServerFactory]:
    """Start a server on the test's database with a short lease; all are stopped in the end."""
    with ExitStack() as servers:

        def start(name: str = "home", **settings: str) -> Server:
            shared = {"database_url": database_url, "files_url": f"file://{tmp_path / 'files'}", "lease_s": LEASE_S}
            return servers.enter_context(Server(tmp_path / name, **shared | settings))

        yield start

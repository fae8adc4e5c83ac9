"""Fixtures of tests that kill: a server that a file's tests share, on each database, and start again where they end it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from counterweight.crashpoints import VARIABLE
from service.persistence.database import Database
from tests.conftest import BACKENDS, SHORT_LEASE_S, fresh_database
from tests.server import Server
from tests.tables_of_numbers import two_blobs


@pytest.fixture(scope="module", params=BACKENDS)
def shared_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a short lease, and with what the file's `SETTINGS` say; points are armed in `armed`, beside its home."""
    folder = tmp_path_factory.mktemp("faults")
    (folder / "armed").mkdir()
    settings = {"files_url": f"file://{folder / 'files'}", "lease_s": SHORT_LEASE_S, **getattr(request.module, "SETTINGS", {})}
    with fresh_database(request.param, folder, request) as url:
        running = Server(folder / "home", database_url=url, **settings)
        running.environment[VARIABLE] = str(folder / "armed")
        with running:
            yield running


@pytest.fixture
def server(shared_server: Server) -> Server:
    """That server, running: a test that failed may have left it stopped."""
    if shared_server.process is None or shared_server.process.poll() is not None:
        shared_server.start()
    return shared_server


@pytest.fixture
def armed(server: Server) -> Path:
    """The folder in which points are armed."""
    return server.home.parent / "armed"


@pytest.fixture(scope="module")
def dataset_id(shared_server: Server) -> str:
    return shared_server.upload(two_blobs(), target="event")


@pytest.fixture
def database(server: Server) -> Iterator[Database]:
    """The record of the server."""
    database = Database(server.environment["COUNTERWEIGHT_DATABASE_URL"])
    yield database
    database.close()

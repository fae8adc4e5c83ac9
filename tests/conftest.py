"""Fixtures all tests share: a fresh, migrated record on each database, and real servers on it."""

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url
from xdist.scheduler import LoadFileScheduling

from service.persistence import schema
from service.persistence.database import Database
from service.persistence.files import Files
from tests.server import Server

POSTGRES_URL = os.environ.get("COUNTERWEIGHT_TEST_POSTGRES_URL", "postgresql+psycopg:///postgres")


def _admin(statement: str) -> None:
    conninfo = make_url(POSTGRES_URL).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(conninfo, autocommit=True, connect_timeout=3) as connection:
        connection.execute(statement)  # Only names made below are put into it.


def _postgres_answers() -> bool:
    try:
        _admin("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


HAS_POSTGRES = _postgres_answers()
BACKENDS = ("sqlite", "postgresql")
SHORT_LEASE_S = "2"

ServerFactory = Callable[..., Server]


def pytest_report_header() -> str:
    ran_on = "SQLite and PostgreSQL" if HAS_POSTGRES else "SQLite only: no PostgreSQL answered at COUNTERWEIGHT_TEST_POSTGRES_URL"
    return f"record tested on: {ran_on}"


def _drop(name: str) -> None:
    _admin(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


class ByFileAndDatabase(LoadFileScheduling):  # type: ignore[misc]  # It tells no types.
    """Keeps a file's tests on one database on one process, so that it starts its server once; another may take those on the other."""

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        return " ".join([file, *(backend for backend in BACKENDS if backend in test)])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    return ByFileAndDatabase(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "counterweight.db"
    database = Database(f"sqlite:///{path}")
    schema.upgrade(database)
    database.close()
    return path


@pytest.fixture(scope="session")
def postgres_template() -> Iterator[str]:
    name = f"cw_template_{secrets.token_hex(6)}"
    _admin(f'CREATE DATABASE "{name}"')
    database = Database(make_url(POSTGRES_URL).set(database=name).render_as_string(hide_password=False))
    schema.upgrade(database)
    database.close()
    yield name
    _drop(name)


@contextmanager
def fresh_database(backend: str, folder: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """Give the URL of a migrated, empty database; skip where there is none of this kind."""
    if backend == "sqlite":
        path = folder / "counterweight.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
        return
    if not HAS_POSTGRES:
        pytest.skip("no PostgreSQL answers")
    name = f"cw_test_{secrets.token_hex(6)}"
    _admin(f'CREATE DATABASE "{name}" TEMPLATE "{request.getfixturevalue("postgres_template")}"')
    yield make_url(POSTGRES_URL).set(database=name).render_as_string(hide_password=False)
    _drop(name)


@pytest.fixture(params=BACKENDS)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a migrated, empty database of the test's own."""
    with fresh_database(request.param, tmp_path, request) as url:
        yield url


@pytest.fixture(scope="module", params=BACKENDS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that a module's tests share, on each database."""
    folder = tmp_path_factory.mktemp("server")
    with fresh_database(request.param, folder, request) as url, Server(folder / "home", database_url=url) as running:
        yield running


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "files")


@pytest.fixture
def serve(tmp_path: Path, database_url: str) -> Iterator[ServerFactory]:
    """Start a server on the test's database with a short lease; all are stopped in the end."""
    with ExitStack() as servers:

        def start(name: str = "home", **settings: str) -> Server:
            shared = {"database_url": database_url, "files_url": f"file://{tmp_path / 'files'}", "lease_s": SHORT_LEASE_S}
            return servers.enter_context(Server(tmp_path / name, **shared | settings))

        yield start

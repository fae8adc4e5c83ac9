"""Fixtures all tests share: a fresh, migrated record on each database, and real servers on it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

from service.persistence.database import Database
from service.persistence.files import Files
from tests import records
from tests.server import Server

BACKENDS = records.KINDS
HAS_POSTGRES = "postgresql" in records.available()
SHORT_LEASE_S = "2"

ServerFactory = Callable[..., Server]


def pytest_report_header() -> str:
    ran_on = "SQLite and PostgreSQL" if HAS_POSTGRES else "SQLite only: no PostgreSQL answered at COUNTERWEIGHT_TEST_POSTGRES_URL"
    return f"record tested on: {ran_on}"


class ByFileAndDatabase(LoadFileScheduling):  # type: ignore[misc]  # It tells no types.
    """Keeps a file's tests on one database on one process, so that it starts its server once; another may take those on the other."""

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        return " ".join([file, *(backend for backend in BACKENDS if backend in test)])


LONGEST = ("tests/faults", "tests/ray", "tests/containers", "tests/test_", "tests/client", "tests/contract")
"""Whose few tests take longest. They begin first: at the end, all but one process would wait for whoever began the last of them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    if config.getoption("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False  # By how many tests a file has, the longest would come last.
    return ByFileAndDatabase(config, log)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with records.fresh("sqlite", tmp_path_factory.mktemp("template")) as url:
        yield url


@pytest.fixture(scope="session")
def postgresql_template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with records.fresh("postgresql", tmp_path_factory.mktemp("template")) as url:
        yield url


@contextmanager
def fresh_database(backend: str, folder: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """Give the URL of a migrated, empty database; skip where there is none of this kind."""
    if backend == "postgresql" and not HAS_POSTGRES:
        pytest.skip("no PostgreSQL answers")
    with records.copied(request.getfixturevalue(f"{backend}_template"), folder) as url:
        yield url


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

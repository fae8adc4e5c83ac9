"""What compose would start, started by hand in its order on an empty PostgreSQL: the same commands, environment and health checks."""

import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import distribution
from pathlib import Path

import psutil
import pytest

from counterweight.client import Client
from service.persistence import schema
from service.persistence.database import Database
from tests.conftest import HAS_POSTGRES, fresh_database
from tests.containers.files import ROOT, SERVICES, STAGES, environment_of
from tests.containers.test_files import packages_of
from tests.server import free_port
from tests.tables_of_numbers import two_blobs

KEY = "the-first-key-of-32-characters-or-more"

pytestmark = pytest.mark.skipif(not HAS_POSTGRES, reason="no PostgreSQL answers")


@pytest.fixture(scope="module")
def empty_postgres(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with fresh_database("postgresql", tmp_path_factory.mktemp("record"), request) as url:
        database = Database(url)
        schema.downgrade(database, "base")
        database.close()
        yield url


def metadata_folder(name: str) -> Path:
    found = distribution(name)
    # An editable installation leaves an egg-info among the sources, which is found first.
    files = [file for file in found.files or [] if file.name in ("METADATA", "PKG-INFO")]
    return Path(str(found.locate_file(files[0]))).parent


@pytest.fixture(scope="module")
def api_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter that finds the packages of the API's image, and no more."""
    folder = tmp_path_factory.mktemp("api-image")
    venv.create(folder, symlinks=True)
    packages = next(folder.glob("lib/python*/site-packages"))
    for name in packages_of(["api", "postgres"]):
        found = distribution(name)
        for top in {file.parts[0] for file in found.files or []} - {"..", "__pycache__"}:
            (packages / top).symlink_to(str(found.locate_file(top)))
    ours = metadata_folder("counterweight")
    (packages / ours.name).symlink_to(ours)
    return str(folder / "bin" / "python")


class Container:
    """A service of the compose file, without a container: its own home, the others' database, files and network."""

    def __init__(self, service: str, python: str, folder: Path, database_url: str, port: int) -> None:
        self.python, self.log = python, folder / f"{service}.log"
        self.command = [python, "-P", "-c", "from counterweight.cli import main; main()", *SERVICES[service]["command"]]
        self.health_command = [python, *STAGES[SERVICES[service]["build"]["target"]].command("HEALTHCHECK")[1:]]
        given = {"COUNTERWEIGHT_BOOTSTRAP_KEY": KEY, "COUNTERWEIGHT_WORKERS": "1"}
        moved = {
            "COUNTERWEIGHT_HOME": str(folder / service),
            "COUNTERWEIGHT_DATABASE_URL": database_url,
            "COUNTERWEIGHT_FILES_URL": f"file://{folder / 'files'}",
        }
        environment = environment_of(service, given)
        assert moved.keys() <= environment.keys()
        self.environment = environment | moved | {"PYTHONPATH": str(ROOT)}
        if "COUNTERWEIGHT_BIND" in environment:
            self.environment["COUNTERWEIGHT_BIND"] = environment["COUNTERWEIGHT_BIND"].replace("8321", str(port))

    def run(self) -> int:
        with self.log.open("ab") as log:
            return subprocess.run(self.command, env=self.environment, stderr=log, timeout=60, check=False).returncode

    def is_healthy(self) -> bool:
        with self.log.open("ab") as log:
            return subprocess.run(self.health_command, env=self.environment, stderr=log, timeout=60, check=False).returncode == 0

    @contextmanager
    def running(self) -> Iterator["subprocess.Popen[bytes]"]:
        """Run it until the block ends; then it must end well by itself."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(self.command, env=self.environment, stderr=log, stdin=subprocess.DEVNULL)
        try:
            self._await_health(process)
            yield process
        finally:
            process.terminate()
            status = process.wait(timeout=40)
        assert status == 0, self.log.read_text()

    def _await_health(self, process: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + 60
        while not self.is_healthy():
            assert process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()


def test_what_compose_starts_trains_a_job(api_python: str, empty_postgres: str, tmp_path: Path) -> None:
    port = free_port()
    migrate, api = (Container(name, api_python, tmp_path, empty_postgres, port) for name in ("migrate", "api"))
    worker = Container("worker", sys.executable, tmp_path, empty_postgres, port)
    table = tmp_path / "table.csv"
    table.write_bytes(two_blobs())

    assert migrate.run() == 0, migrate.log.read_text()
    assert not worker.is_healthy()
    with api.running(), worker.running() as agent, Client(f"http://127.0.0.1:{port}", api_key=KEY) as client:
        dataset = client.datasets.wait(client.datasets.upload(table, target="event").id, timeout_s=60)
        job = client.jobs.submit(dataset_id=dataset.id, training={"max_epochs": 3})
        done = client.jobs.wait(job.id, timeout_s=120)
        children = psutil.Process(agent.pid).children(recursive=True)

    assert done.state == "succeeded", done.error
    assert not worker.is_healthy()
    assert not api.is_healthy()
    assert psutil.wait_procs(children, timeout=10)[1] == []


def test_without_what_trains_the_api_alone_can_be_served(api_python: str, tmp_path: Path) -> None:
    serve = [api_python, "-c", "from counterweight.cli import main; main()", "serve", "--home", str(tmp_path / "home")]

    refused = subprocess.run(serve, capture_output=True, text=True, timeout=60, cwd=ROOT, check=False)

    assert refused.returncode == 2
    assert "--workers 0" in refused.stderr

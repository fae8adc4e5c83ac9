"""Workers on hosts of their own die, stand still, or lose the database or the time: their jobs end once, and no late word is written."""

import contextlib
import glob
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from service.persistence.database import Database
from tests.faults.proxy import Proxy, outage
from tests.faults.trainings import assert_all_succeeded_once, await_training, submit
from tests.server import Server
from tests.tables_of_numbers import two_blobs

SETTINGS = {"workers": "0", "max_cohort": "1", "lease_s": "3"}
SIZE = 3
LONGER_THAN_A_LEASE_S = 5
pytestmark = pytest.mark.skipif("COUNTERWEIGHT_TEST_FAULTS" not in os.environ, reason="takes minutes: `make faults` runs it")
MOVABLE_CLOCK = next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), None)


@dataclass
class Worker:
    """A worker on a home of its own, with a clock of its own, and, to PostgreSQL, a way of its own."""

    process: "subprocess.Popen[bytes]"
    clock: Path
    way: Proxy | None

    def move_clock(self, offset: str) -> None:
        """Let its clock differ from now on by so much, such as `+1h`."""
        aside = self.clock.with_suffix(".new")
        aside.write_text(offset)
        aside.replace(self.clock)

    @property
    def family(self) -> list[psutil.Process]:
        return [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]


@dataclass
class Fleet:
    """Workers that live."""

    server: Server
    workers: list[Worker] = field(default_factory=list)
    started: int = 0

    def complete(self) -> None:
        """Start as many as are missing."""
        self.workers = [worker for worker in self.workers if worker.process.poll() is None]
        while len(self.workers) < SIZE:
            self.started += 1
            self.workers.append(self._start(f"worker-{self.started}"))

    def holder(self, job_id: str) -> tuple[str, Worker]:
        """Return the id of the worker that has a job, and that worker."""
        agent_id = self.server.read(f"/jobs/{job_id}")["attempt"]["worker"]
        for worker in self.workers:
            if f"agent {agent_id} in process {worker.process.pid} " in self.server.log:
                return agent_id, worker
        raise AssertionError(f"{agent_id} is none of the fleet's\n{self.server.tale}")

    def _start(self, name: str) -> Worker:
        url = self.server.environment["COUNTERWEIGHT_DATABASE_URL"]
        way = None if url.startswith("sqlite") else Proxy(url).__enter__()
        environment = {} if way is None else {"COUNTERWEIGHT_DATABASE_URL": way.url}
        clock = self.server.home.parent / f"{name}.clock"
        clock.write_text("+0")
        if MOVABLE_CLOCK is not None:
            environment |= {"LD_PRELOAD": MOVABLE_CLOCK, "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_CACHE_DURATION": "1"}
            environment |= {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_RESET": "1"}
        return Worker(self.server.start_worker(name, **environment), clock, way)


@pytest.fixture(scope="module")
def shared_fleet(shared_server: Server) -> Iterator[Fleet]:
    fleet = Fleet(shared_server)
    try:
        yield fleet
    finally:
        for worker in fleet.workers:
            worker.process.kill()
            worker.process.wait()
            if worker.way is not None:
                worker.way.__exit__(None, None, None)


@pytest.fixture(scope="module")
def dataset_id(shared_server: Server, shared_fleet: Fleet) -> str:
    shared_fleet.complete()
    return shared_server.upload(two_blobs(), target="event")


@pytest.fixture
def fleet(shared_fleet: Fleet) -> Fleet:
    """All workers live."""
    shared_fleet.complete()
    return shared_fleet


def submit_long(server: Server, dataset_id: str) -> list[str]:
    """Submit jobs in the middle of which a fast machine is still when the fault comes: they train in small batches."""
    return submit(server, dataset_id, batch_size=2)


def test_a_worker_stopped_past_its_lease_writes_nothing_when_it_goes_on(
    server: Server, dataset_id: str, fleet: Fleet, database: Database
) -> None:
    job_ids = submit_long(server, dataset_id)
    await_training(server, job_ids[:1])
    agent_id, worker = fleet.holder(job_ids[0])
    frozen = worker.family
    try:
        _freeze(frozen, database)
        server.wait(f"/jobs/{job_ids[0]}", lambda job: job["attempt"]["number"] == 2)
    finally:
        for process in frozen:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)

    assert_all_succeeded_once(server, database, job_ids)
    assert server.read(f"/jobs/{job_ids[0]}")["attempt"]["worker"] != agent_id


def test_a_worker_cut_off_from_the_database_loses_its_job_and_writes_nothing_late(
    server: Server, dataset_id: str, fleet: Fleet, database: Database
) -> None:
    if database.is_sqlite:
        pytest.skip("no network lies between a worker and SQLite")
    job_ids = submit_long(server, dataset_id)
    await_training(server, job_ids[:1])
    agent_id, worker = fleet.holder(job_ids[0])
    assert worker.way is not None

    worker.way.hold()
    ended = [server.finish(job_id) for job_id in job_ids]
    worker.way.mend()

    until_told(server, f"agent {agent_id} was declared lost")
    assert (ended[0]["attempt"]["number"], ended[0]["attempt"]["worker"] == agent_id) == (2, False)
    assert [server.read(f"/jobs/{job_id}")["version"] for job_id in job_ids] == [job["version"] for job in ended]
    assert_all_succeeded_once(server, database, job_ids)


def test_a_database_away_for_longer_than_a_lease_costs_no_attempt(
    server: Server, dataset_id: str, fleet: Fleet, database: Database
) -> None:
    job_ids = submit_long(server, dataset_id)
    for job_id in job_ids:
        server.wait(f"/jobs/{job_id}", lambda job: job["progress"] is not None)

    with outage(database, [worker.way for worker in fleet.workers if worker.way]):
        time.sleep(LONGER_THAN_A_LEASE_S)

    assert_all_succeeded_once(server, database, job_ids)
    assert [server.read(f"/jobs/{job_id}")["attempt"]["number"] for job_id in job_ids] == [1] * len(job_ids)


@pytest.mark.skipif(MOVABLE_CLOCK is None, reason="no clock that can be moved: `apt-get install faketime` brings one")
def test_clocks_that_jump_by_an_hour_cost_no_attempt(server: Server, dataset_id: str, fleet: Fleet, database: Database) -> None:
    job_ids = submit_long(server, dataset_id)
    await_training(server, job_ids[:1])
    _, holder = fleet.holder(job_ids[0])
    try:
        for worker in fleet.workers:
            worker.move_clock("-1h" if worker is holder else "+1h")
        time.sleep(LONGER_THAN_A_LEASE_S)
    finally:
        for worker in fleet.workers:
            worker.move_clock("+0")

    assert_all_succeeded_once(server, database, job_ids)
    assert [server.read(f"/jobs/{job_id}")["attempt"]["number"] for job_id in job_ids] == [1] * len(job_ids)


def test_a_dead_workers_job_moves_to_another_without_a_restart(server: Server, dataset_id: str, fleet: Fleet, database: Database) -> None:
    job_ids = submit_long(server, dataset_id)
    await_training(server, job_ids[:1])
    agent_id, worker = fleet.holder(job_ids[0])

    worker.process.kill()
    moved = server.wait(f"/jobs/{job_ids[0]}", lambda job: job["attempt"]["worker"] != agent_id)

    assert moved["attempt"]["number"] == 2
    assert_all_succeeded_once(server, database, job_ids)
    assert {server.read(f"/jobs/{job_id}")["resolved"]["cohort_size"] for job_id in job_ids} == {1}


def until_told(server: Server, words: str) -> None:
    """Return once the log says these words."""
    deadline = time.monotonic() + 60
    while words not in server.log:
        assert time.monotonic() < deadline, f"never told: {words}\n{server.tale}"
        time.sleep(0.05)


def _freeze(family: list[psutil.Process], database: Database) -> None:
    """Stop a worker with all its children, between two of its writes.

    Stopped within one it would keep SQLite's only write lock, and nobody could go on before it does: not what is tested here.
    """
    for _ in range(100):
        for process in family:
            process.send_signal(signal.SIGSTOP)
        if not database.is_sqlite or _can_write(database):
            return
        for process in family:
            process.send_signal(signal.SIGCONT)
    raise AssertionError("the worker is always writing")


def _can_write(database: Database) -> bool:
    with contextlib.closing(sqlite3.connect(str(database.url.database), timeout=0.5, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        connection.execute("ROLLBACK")
        return True

"""Processes are killed in mid-training: every acknowledged job still succeeds, once, with each step once."""

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from typing import Any

import psutil
import pytest
from sqlalchemy import func, select

from service.persistence.database import Database
from service.persistence.tables import Event, MetricPoint, Model
from tests.conftest import ServerFactory
from tests.server import Server
from tests.tables_of_numbers import two_blobs

EPOCHS = 60
SLOW = {"max_epochs": EPOCHS, "batch_size": 8, "early_stopping": None}
"""Training that takes a few seconds, so that there is a middle to be killed in."""

LOSSES: list[dict[str, Any]] = [{"kind": "cross_entropy"}, {"kind": "balanced_cross_entropy"}, {"kind": "focal"}]


def _submit(server: Server, **more: Any) -> list[str]:
    dataset_id = server.upload(two_blobs(), target="event")
    return [server.submit(dataset_id, loss=loss, training=SLOW, **more) for loss in LOSSES]


def _await_training(server: Server, job_ids: list[str]) -> None:
    """Return once some job of these has finished an epoch."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        jobs = [server.read(f"/jobs/{job_id}") for job_id in job_ids]
        if any(job["progress"] and job["state"] == "running" for job in jobs) or all(job["is_terminal"] for job in jobs):
            return
        time.sleep(0.02)
    raise AssertionError(f"nothing trains\n{server.tale}")


def _assert_all_succeeded_once(server: Server, database: Database, job_ids: list[str]) -> None:
    for job_id in job_ids:
        job = server.finish(job_id)
        assert job["state"] == "succeeded", (job["error"], server.tale)
        with database.read() as session:
            points = select(MetricPoint.epoch).where(MetricPoint.job_id == job_id, MetricPoint.series == "train/loss")
            ends = select(func.count()).where(Event.subject == job_id, Event.to_state == "succeeded")
            models = select(func.count()).where(Model.job_id == job_id)
            assert sorted(session.scalars(points)) == list(range(1, EPOCHS + 1))
            assert session.scalar(ends) == 1
            assert session.scalar(models) == 1


def _kill(server: Server, what: str) -> None:
    if what == "trainer":
        for trainer in server.trainers()[:1]:
            trainer.kill()
    elif what == "everything":
        server.kill_everything()
        server.start()
    else:
        server.part(what).kill()


@pytest.mark.parametrize("seed", [0])
def test_every_acknowledged_job_succeeds_once_through_six_kills(serve: ServerFactory, database: Database, seed: int) -> None:
    server, source = serve(), random.Random(seed)
    job_ids = _submit(server, limits={"max_attempts": 10})

    for what in source.sample(["trainer", "workers", "service.api", "everything", "trainer", "everything"], 6):
        _await_training(server, job_ids)
        time.sleep(source.uniform(0, 0.5))
        _kill(server, what)

    _assert_all_succeeded_once(server, database, job_ids)


def test_a_dead_workers_job_moves_to_another_without_a_restart(serve: ServerFactory, database: Database) -> None:
    server = serve(workers="0")
    one, other = _start_worker(server, "one"), _start_worker(server, "other")
    job_ids = _submit(server)
    try:
        _await_training(server, job_ids)
        victim = server.read(f"/jobs/{job_ids[0]}")["attempt"]["worker"]
        _process_of(server, victim, one, other).kill()
        moved = server.wait(f"/jobs/{job_ids[0]}", lambda job: job["attempt"]["worker"] != victim)

        assert moved["attempt"]["number"] == 2
        _assert_all_succeeded_once(server, database, job_ids)
    finally:
        for worker in (one, other):
            worker.kill()
            worker.wait()


def test_a_worker_stopped_past_its_lease_writes_nothing_when_it_goes_on(serve: ServerFactory, database: Database) -> None:
    server = serve()
    job_ids = _submit(server)
    _await_training(server, job_ids)
    agent = server.part("workers")
    frozen = [agent, *agent.children(recursive=True)]
    rescuer = None
    try:
        _freeze(frozen, database)
        rescuer = _start_worker(server, "rescuer")
        server.wait(f"/jobs/{job_ids[0]}", lambda job: job["attempt"]["number"] == 2)

        for process in frozen:
            process.send_signal(signal.SIGCONT)

        _assert_all_succeeded_once(server, database, job_ids)
    finally:
        for process in frozen:
            if process.is_running():
                process.send_signal(signal.SIGCONT)
        if rescuer is not None:
            rescuer.kill()
            rescuer.wait()


def test_sigterm_gives_work_back_and_leaves_no_process(serve: ServerFactory, database: Database) -> None:
    server = serve()
    job_ids = _submit(server)
    _await_training(server, job_ids)
    agent = server.part("workers")
    family = [agent, *agent.children(recursive=True)]

    started = time.monotonic()
    status = server.stop()

    assert status == 0
    assert time.monotonic() - started < 30
    assert psutil.wait_procs(family, timeout=10)[1] == []
    server.start()
    _assert_all_succeeded_once(server, database, job_ids)


def test_a_cancel_is_honoured_within_ten_seconds(serve: ServerFactory) -> None:
    server = serve()
    dataset_id = server.upload(two_blobs(), target="event")
    job_id = server.submit(dataset_id, training={"max_epochs": 100_000, "early_stopping": None})
    _await_training(server, [job_id])

    asked = time.monotonic()
    answer = server.client.post(f"/jobs/{job_id}/cancel")

    assert answer.status_code == 202
    assert server.finish(job_id, timeout_s=10)["state"] == "cancelled"
    assert time.monotonic() - asked < 10


def test_a_second_start_on_the_same_home_says_so(serve: ServerFactory) -> None:
    server = serve()

    second = subprocess.run([sys.executable, "-P", "-m", "service"], env=server.environment, capture_output=True, text=True, timeout=30)

    assert second.returncode == 1
    assert "already serves" in second.stderr


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


def _start_worker(server: Server, name: str) -> "subprocess.Popen[bytes]":
    environment = server.environment | {"COUNTERWEIGHT_HOME": str(server.home.parent / name), "COUNTERWEIGHT_WORKERS": "2"}
    with (server.home.parent / f"{server.home.name}.log").open("ab") as log:
        return subprocess.Popen([sys.executable, "-P", "-m", "workers"], env=environment, stderr=log, stdin=subprocess.DEVNULL)


def _process_of(server: Server, agent_id: str, *workers: "subprocess.Popen[bytes]") -> "subprocess.Popen[bytes]":
    """The worker process whose log line, or whose children, belong to `agent_id`."""
    for worker in workers:
        name = f"agent {agent_id} in process {worker.pid}"
        if name in server.log:
            return worker
    raise AssertionError(f"{agent_id} not found in {os.linesep}{server.log}")

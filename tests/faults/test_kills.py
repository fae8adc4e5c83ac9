"""Processes are killed in mid-training: every acknowledged job still succeeds, once, with each step once."""

import random
import subprocess
import sys
import time

import psutil
import pytest

from service.persistence.database import Database
from tests.faults.trainings import assert_all_succeeded_once, await_training, submit
from tests.server import Server


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
def test_every_acknowledged_job_succeeds_once_through_kills_of_each_part(
    server: Server, dataset_id: str, database: Database, seed: int
) -> None:
    source = random.Random(seed)
    job_ids = submit(server, dataset_id, limits={"max_attempts": 10})

    for what in source.sample(["trainer", "workers", "service.api", "everything"], 4):
        await_training(server, job_ids)
        time.sleep(source.uniform(0, 0.5))
        _kill(server, what)

    assert_all_succeeded_once(server, database, job_ids)


def test_sigterm_gives_work_back_and_leaves_no_process(server: Server, dataset_id: str, database: Database) -> None:
    job_ids = submit(server, dataset_id)
    await_training(server, job_ids)
    agent = server.part("workers")
    family = [agent, *agent.children(recursive=True)]

    started = time.monotonic()
    status = server.stop()

    assert status == 0
    assert time.monotonic() - started < 30
    assert psutil.wait_procs(family, timeout=10)[1] == []
    server.start()
    assert_all_succeeded_once(server, database, job_ids)


def test_a_cancel_is_honoured_within_ten_seconds(server: Server, dataset_id: str) -> None:
    job_id = server.submit(dataset_id, training={"max_epochs": 100_000, "early_stopping": None})
    await_training(server, [job_id])

    asked = time.monotonic()
    answer = server.client.post(f"/jobs/{job_id}/cancel")

    assert answer.status_code == 202
    assert server.finish(job_id, timeout_s=10)["state"] == "cancelled"
    assert time.monotonic() - asked < 10


def test_a_second_start_on_the_same_home_says_so(server: Server) -> None:
    second = subprocess.run([sys.executable, "-P", "-m", "service"], env=server.environment, capture_output=True, text=True, timeout=30)

    assert second.returncode == 1
    assert "already serves" in second.stderr

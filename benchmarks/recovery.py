"""How long a job stands still after `kill -9` of its trainer, and of its agent under the default lease, until its next epoch is done."""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from benchmarks.figures import Figure, at_most
from tests import records
from tests.server import Server, trainers_of
from tests.tables_of_numbers import two_blobs

KILLS = 5
PATIENCE_S = 120
LONG = {"max_epochs": 100_000, "batch_size": 16, "early_stopping": None}


def measure() -> list[Figure]:
    return [figure for kind in records.available() for figure in _on(kind)]


def _on(kind: str) -> list[Figure]:
    with (
        tempfile.TemporaryDirectory() as folder,
        records.fresh(kind, Path(folder)) as url,
        Server(Path(folder) / "home", database_url=url, files_url=f"file://{folder}/files", workers="0") as server,
    ):
        first = server.start_worker("first")
        second = None
        try:
            dataset_id = server.upload(two_blobs(), target="event")
            trainer = []
            for _ in range(KILLS):
                job_id = server.submit(dataset_id, training=LONG)
                trainer.append(_stood_still(server, job_id, lambda: trainers_of(psutil.Process(first.pid))[0].kill()))
                server.client.post(f"/jobs/{job_id}/cancel")
                server.finish(job_id)
            job_id = server.submit(dataset_id, training=LONG)
            second = server.start_worker("second")
            agent = _stood_still(server, job_id, first.kill)
        finally:
            for worker in filter(None, [first, second]):
                worker.kill()
                worker.wait()
    return [
        at_most(f"kill -9 of a trainer to its job's next epoch, {kind}, median of {KILLS}", statistics.median(trainer), 2.0, "s"),
        at_most(f"kill -9 of an agent to its job's next epoch, {kind}", agent, 45.0, "s"),
    ]


def _stood_still(server: Server, job_id: str, kill: Callable[[], None]) -> float:
    """Kill in the middle of the training; return the seconds from then until an epoch of another attempt was done."""
    number = server.wait(f"/jobs/{job_id}", lambda job: job["state"] == "running" and job["progress"] is not None)["attempt"]["number"]
    killed_at = time.time()
    kill()
    server.wait(f"/jobs/{job_id}", lambda job: job["state"] == "running" and job["attempt"]["number"] > number)
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        # Points are dated by the trainer that made them, and what was recorded after the last checkpoint is gone with the attempt.
        series = server.read(f"/jobs/{job_id}/metrics", names="train/loss", points="10000")["series"]
        later = [at for one in series for _, _, at, _ in one["points"] if at > killed_at]
        if later:
            return float(min(later)) - killed_at
        time.sleep(0.02)
    raise AssertionError(server.tale)

"""Workers of their own beside a service that trains nothing: they take its jobs, are listed, and drain one at a time."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.conftest import ServerFactory
from tests.server import START_S, Server
from tests.tables_of_numbers import two_blobs


def _worker(server: Server, home: Path, **settings: str) -> "subprocess.Popen[bytes]":
    """`counterweight worker` as on another host: with the service's database and files, and a home of its own."""
    given = {"HOME": str(home), "WORKERS": "1", "DEVICES": "cpu", **settings}
    environment = server.environment | {f"COUNTERWEIGHT_{name}": value for name, value in given.items()}
    command = [sys.executable, "-P", "-c", "from counterweight.cli import main; main()", "worker"]
    with (home.parent / f"{home.name}.log").open("ab") as log:
        return subprocess.Popen(command, env=environment, stderr=log, stdin=subprocess.DEVNULL)


def _workers(server: Server, is_enough: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
    """Ask for the workers until they are as wanted, and leave the processor to them between two answers."""
    deadline = time.monotonic() + START_S
    while not is_enough(found := list(server.read("/workers")["data"])):
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


def test_workers_on_their_own_take_jobs_and_drain_one_at_a_time(serve: ServerFactory, tmp_path: Path) -> None:
    server = serve(workers="0")
    first = _worker(server, tmp_path / "first")
    try:
        dataset_id = server.upload(two_blobs(), target="event")
        (one,) = _workers(server, lambda found: len(found) == 1)
        assert server.finish(server.submit(dataset_id, training={"max_epochs": 2}))["state"] == "succeeded"

        endless = server.submit(dataset_id, training={"max_epochs": 100_000, "early_stopping": None})
        _workers(server, lambda found: found[0]["jobs"] == [endless])
        assert server.client.post(f"/workers/{one['id']}/drain").json()["state"] == "draining"
        waiting = server.submit(dataset_id, training={"max_epochs": 2})
        assert "draining" in server.read("/queue")["data"][0]["queue"]["blocked_by"][0]

        second = _worker(server, tmp_path / "second")
        try:
            done = server.finish(waiting)
            assert done["state"] == "succeeded"
            assert done["attempt"]["worker"] != one["id"]
            # What the drained one had goes on, until its owner ends it.
            assert server.read(f"/jobs/{endless}")["attempt"]["worker"] == one["id"]
            server.client.post(f"/jobs/{endless}/cancel")
            server.finish(endless)
            assert _workers(server, lambda found: found[0]["state"] == "drained")[0]["id"] == one["id"]
        finally:
            _stop(second)
        assert [worker["id"] for worker in server.read("/workers")["data"]] == [one["id"]]
    finally:
        _stop(first)


def test_a_worker_that_is_told_to_stop_gives_its_job_back_uncounted(serve: ServerFactory, tmp_path: Path) -> None:
    server = serve(workers="0")
    first = _worker(server, tmp_path / "first")
    try:
        dataset_id = server.upload(two_blobs(), target="event")
        job_id = server.submit(dataset_id, training={"max_epochs": 100_000, "early_stopping": None})
        _workers(server, lambda found: found[0]["jobs"] == [job_id])
    finally:
        _stop(first)

    (attempt,) = server.read(f"/jobs/{job_id}/attempts")["data"]

    assert server.read(f"/jobs/{job_id}")["state"] == "queued"
    assert (attempt["outcome"], attempt["detail"]) == ("drained", "its worker was told to stop")
    assert attempt["action"].startswith("back in the queue")
    assert attempt["host"] == os.uname().nodename


def _stop(worker: "subprocess.Popen[bytes]") -> None:
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=40) == 0

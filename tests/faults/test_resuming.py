"""Trainings that are killed, paused and resumed over HTTP on real processes end with the digits of those that were left alone."""

import random
import time
from typing import Any

import psutil
import pytest

from tests.conftest import ServerFactory
from tests.server import Server
from tests.tables_of_numbers import two_blobs

OFTEN = {"checkpoint_s": "0.3"}
LONG = {"max_epochs": 40, "batch_size": 8, "early_stopping": None}
"""Training that takes a few seconds, so that there is a middle to be killed in."""

PLAIN = {"kind": "mlp", "numeric_embedding": "none"}

Digits = tuple[dict[str, Any], dict[str, Any], dict[str, str]]


def digits(server: Server, job_id: str) -> Digits:
    """Everything that a finished job came to: its metrics, every recorded value by step, and the digests of its files."""
    job = server.read(f"/jobs/{job_id}")
    assert job["state"] == "succeeded", (job["error"], server.tale)
    recorded = server.read(f"/jobs/{job_id}/metrics", points="10000")["series"]
    series = {one["name"]: [(step, epoch, value) for step, epoch, _, value in one["points"]] for one in recorded}
    files = {file["name"]: file["sha256"] for file in server.read(f"/jobs/{job_id}/artifacts")["data"]}
    return job["metrics"], series, {name: sha256 for name, sha256 in files.items() if name.endswith((".safetensors", ".parquet"))}


def until_checkpointed(server: Server, job_id: str, before: set[str]) -> None:
    """Return once an attempt that is not among those before has written a checkpoint; add it to them."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = {path.parent.name for path in (server.home.parent / "files" / "checkpoints").glob("*/*.safetensors")} - before
        if found:
            before |= found
            return
        assert not server.read(f"/jobs/{job_id}")["is_terminal"], server.tale
        time.sleep(0.02)
    raise AssertionError(f"no checkpoint\n{server.tale}")


def kill_trainers(server: Server) -> None:
    trainers: list[psutil.Process] = server.trainers()
    for trainer in trainers:
        trainer.kill()
    psutil.wait_procs(trainers, timeout=10)


@pytest.mark.parametrize("refit", [False, True], ids=["once", "refitted"])
def test_a_job_whose_trainer_is_killed_at_random_steps_ends_with_the_same_digits(serve: ServerFactory, *, refit: bool) -> None:
    server, source = serve(workers="1", **OFTEN), random.Random(7)
    dataset_id = server.upload(two_blobs(), target="event")
    spec = {"training": LONG | {"refit": refit}, "learner": PLAIN | {"dropout": 0.2}, "limits": {"max_attempts": 10}}
    undisturbed = server.submit(dataset_id, **spec)
    server.finish(undisturbed)

    job_id = server.submit(dataset_id, **spec)
    attempts: set[str] = set()
    for _ in range(2):
        until_checkpointed(server, job_id, attempts)
        time.sleep(source.uniform(0, 0.3))
        kill_trainers(server)
    server.finish(job_id)

    assert digits(server, job_id) == digits(server, undisturbed)
    lines = [line["message"] for line in server.read(f"/jobs/{job_id}/logs")["data"]]
    assert sum("goes on from a checkpoint" in line for line in lines) == 2


def test_a_cohort_that_is_paused_resumed_and_twice_killed_ends_with_the_same_digits(serve: ServerFactory) -> None:
    server, source = serve(workers="1", **OFTEN), random.Random(8)
    dataset_id = server.upload(two_blobs(), target="event")
    calm = study_of_eight(server, dataset_id)
    for job_id in calm:
        server.finish(job_id)

    job_ids, attempts = study_of_eight(server, dataset_id), set[str]()
    study = f"/studies/{server.read(f'/jobs/{job_ids[0]}')['study_id']}"
    until_checkpointed(server, job_ids[0], attempts)
    time.sleep(source.uniform(0, 0.3))
    kill_trainers(server)
    until_checkpointed(server, job_ids[0], attempts)
    asked = time.monotonic()
    assert server.client.post(f"{study}/pause").status_code == 202
    for job_id in job_ids:
        assert server.wait(f"/jobs/{job_id}", lambda job: job["state"] != "pausing")["state"] == "paused"
    assert time.monotonic() - asked < 10
    assert server.trainers() == []
    assert server.client.post(f"{study}/resume").status_code == 202
    until_checkpointed(server, job_ids[0], attempts)
    time.sleep(source.uniform(0, 0.3))
    kill_trainers(server)
    for job_id in job_ids:
        server.finish(job_id)

    assert [digits(server, job_id) for job_id in job_ids] == [digits(server, job_id) for job_id in calm]
    sizes = [server.read(f"/jobs/{job_id}")["resolved"]["cohort_size"] for job_id in job_ids + calm]
    assert sizes == [8] * 16


def study_of_eight(server: Server, dataset_id: str) -> list[str]:
    """Submit two losses with four seeds; return the jobs, by loss and seed."""
    base = {"dataset_id": dataset_id, "training": LONG, "learner": PLAIN}
    losses = [{"kind": "focal"}, {"kind": "logit_adjusted"}]
    answer = server.client.post("/studies", json={"base": base, "losses": losses, "seeds": [0, 1, 2, 3]})
    assert answer.status_code == 201, answer.text
    jobs = server.read("/jobs", filter=f"study_id = {answer.json()['id']}")["data"]
    return [job["id"] for job in sorted(jobs, key=lambda job: (job["spec"]["loss"]["kind"], job["spec"]["training"]["seed"]))]

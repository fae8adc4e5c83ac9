"""Trainings that are killed, paused and resumed over HTTP on real processes end with the digits of those that were left alone."""

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from counterweight.crashpoints import arm
from tests.server import Server

SETTINGS = {"workers": "1", "checkpoint_s": "0.05"}
PLAIN = {"kind": "mlp", "numeric_embedding": "none"}
STEPS = {"max_epochs": 16, "batch_size": 8, "early_stopping": None}
"""Some 720 steps, so that there are many to be killed at."""

Digits = tuple[dict[str, Any], dict[str, Any], dict[str, str]]


def digits(server: Server, job_id: str) -> Digits:
    """Everything that a finished job came to: its metrics, every recorded value by step, and the digests of its files."""
    job = server.read(f"/jobs/{job_id}")
    assert job["state"] == "succeeded", (job["error"], server.tale)
    recorded = server.read(f"/jobs/{job_id}/metrics", points="10000")["series"]
    series = {one["name"]: [(step, epoch, value) for step, epoch, _, value in one["points"]] for one in recorded}
    files = {file["name"]: file["sha256"] for file in server.read(f"/jobs/{job_id}/artifacts")["data"]}
    return job["metrics"], series, {name: sha256 for name, sha256 in files.items() if name.endswith((".safetensors", ".parquet"))}


def kill_trainer(server: Server, armed: Path, job_id: str, attempt: int, step: int) -> None:
    """Return once the trainer of a job's attempt has died, `step` steps after it is known that it has made a checkpoint."""
    until(lambda: [one["kept"] is not None for one in server.read(f"/jobs/{job_id}/attempts")["data"]][attempt - 1 :] == [True])
    arm(armed, "training.step", passes=step)
    until(lambda: not (armed / "training.step").exists())


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline, "there was no checkpoint, or the step was never taken"
        time.sleep(0.02)


@pytest.mark.parametrize("refit", [False, True], ids=["once", "refitted"])
def test_a_job_whose_trainer_is_killed_at_random_steps_ends_with_the_same_digits(
    server: Server, dataset_id: str, armed: Path, *, refit: bool
) -> None:
    source = random.Random(7)
    spec = {"training": STEPS | {"refit": refit}, "learner": PLAIN | {"dropout": 0.2}, "limits": {"max_attempts": 10}}
    undisturbed = server.submit(dataset_id, **spec)
    server.finish(undisturbed)

    job_id = server.submit(dataset_id, **spec)
    for attempt in (1, 2):
        kill_trainer(server, armed, job_id, attempt, source.randrange(50, 130))
    server.finish(job_id)

    assert digits(server, job_id) == digits(server, undisturbed)
    lines = [line["message"] for line in server.read(f"/jobs/{job_id}/logs")["data"]]
    assert sum("goes on from a checkpoint" in line for line in lines) == 2


def test_a_cohort_that_is_paused_resumed_and_twice_killed_ends_with_the_same_digits(server: Server, dataset_id: str, armed: Path) -> None:
    source = random.Random(8)
    calm = study_of_eight(server, dataset_id)
    for job_id in calm:
        server.finish(job_id)

    job_ids = study_of_eight(server, dataset_id)
    study = f"/studies/{server.read(f'/jobs/{job_ids[0]}')['study_id']}"
    kill_trainer(server, armed, job_ids[0], 1, source.randrange(50, 130))
    server.wait(f"/jobs/{job_ids[0]}", lambda job: job["state"] == "running" and job["attempt"]["number"] == 2)
    asked = time.monotonic()
    assert server.client.post(f"{study}/pause").status_code == 202
    for job_id in job_ids:
        assert server.wait(f"/jobs/{job_id}", lambda job: job["state"] != "pausing")["state"] == "paused"
    assert time.monotonic() - asked < 10
    assert server.trainers() == []
    assert server.client.post(f"{study}/resume").status_code == 202
    kill_trainer(server, armed, job_ids[0], 3, source.randrange(25, 75))
    for job_id in job_ids:
        server.finish(job_id)

    assert [digits(server, job_id) for job_id in job_ids] == [digits(server, job_id) for job_id in calm]
    sizes = [server.read(f"/jobs/{job_id}")["resolved"]["cohort_size"] for job_id in job_ids + calm]
    assert sizes == [8] * 16


def study_of_eight(server: Server, dataset_id: str) -> list[str]:
    """Submit two losses with four seeds; return the jobs, by loss and seed."""
    base = {"dataset_id": dataset_id, "training": STEPS, "learner": PLAIN}
    losses = [{"kind": "focal"}, {"kind": "logit_adjusted"}]
    answer = server.client.post("/studies", json={"base": base, "losses": losses, "seeds": [0, 1, 2, 3]})
    assert answer.status_code == 201, answer.text
    jobs = server.read("/jobs", filter=f"study_id = {answer.json()['id']}")["data"]
    return [job["id"] for job in sorted(jobs, key=lambda job: (job["spec"]["loss"]["kind"], job["spec"]["training"]["seed"]))]

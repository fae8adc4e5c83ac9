"""Cohorts over HTTP on real processes: they form while a slot is busy, measure as alone, and lose nothing to what dies."""

import math
from typing import Any

import psutil
import pytest

from tests.faults.trainings import PLAIN
from tests.server import Server

SETTINGS = {"workers": "1"}
ENDLESS = {"max_epochs": 100_000, "early_stopping": None}
LONG = {"max_epochs": 100, "batch_size": 8, "early_stopping": None}
"""Training that takes seconds, on a fast machine too, so that it is in the middle when word of its first epochs is answered by a kill."""

SPECS: list[dict[str, Any]] = [
    {"loss": {"kind": "cross_entropy"}, "training": {"max_epochs": 12}},
    {"loss": {"kind": "focal"}, "training": {"max_epochs": 12}},
    {"loss": {"kind": "balanced_cross_entropy"}, "training": {"max_epochs": 12, "learning_rate": 0.01}},
    {"loss": {"kind": "logit_adjusted"}, "training": {"max_epochs": 12, "weight_decay": 0.1}},
    {"loss": {"kind": "poly"}, "training": {"max_epochs": 12, "seed": 1}},
    {"loss": {"kind": "cross_entropy"}, "training": {"max_epochs": 12, "seed": 1, "early_stopping": None}},
]


def _submit_while_busy(server: Server, dataset_id: str, specs: list[dict[str, Any]]) -> list[str]:
    """Queue jobs behind one that never ends, and then end it: the slot finds all of them waiting."""
    busy = server.submit(dataset_id, training=ENDLESS)
    server.wait(f"/jobs/{busy}", lambda job: job["state"] == "running")
    job_ids = [server.submit(dataset_id, learner=PLAIN, **spec) for spec in specs]
    server.client.post(f"/jobs/{busy}/cancel")
    server.finish(busy)
    return job_ids


def _trains_or_is_over(job: dict[str, Any]) -> bool:
    return job["is_terminal"] or (job["state"] == "running" and job["progress"] is not None)


def _values(job: dict[str, Any]) -> dict[str, float]:
    return {name: metric["value"] for name, metric in job["metrics"].items() if metric["value"] is not None}


def test_jobs_that_wait_are_trained_together_and_measured_as_alone(server: Server, dataset_id: str) -> None:
    together = [server.finish(job_id) for job_id in _submit_while_busy(server, dataset_id, SPECS)]
    alone = [server.finish(server.submit(dataset_id, learner=PLAIN, **spec)) for spec in SPECS]

    assert {job["state"] for job in together + alone} == {"succeeded"}
    assert {job["resolved"]["cohort_size"] for job in together} == {len(SPECS)}
    (cohort_id,) = {job["cohort_id"] for job in together}
    found = server.read("/jobs", filter=f"cohort_id = {cohort_id}")["data"]
    assert {job["id"] for job in found} == {job["id"] for job in together}
    assert {(job["resolved"]["cohort_size"], job["cohort_id"]) for job in alone} == {(1, None)}
    for one, other in zip(together, alone, strict=True):
        assert _values(one) == pytest.approx(_values(other), rel=1e-3, abs=1e-3)


def test_a_job_that_kills_its_trainer_is_found_out_and_takes_no_other_with_it(server: Server, dataset_id: str) -> None:
    specs = [{"training": LONG | {"seed": seed}, "limits": {"max_attempts": 1}} for seed in range(5)]
    *others, poison = _submit_while_busy(server, dataset_id, specs)

    while not (job := server.wait(f"/jobs/{poison}", _trains_or_is_over))["is_terminal"]:
        for trainer in server.trainers():
            trainer.kill()
        server.wait(f"/jobs/{poison}", lambda now, seen=job: now["version"] > seen["version"])

    assert job["error"]["failure_class"] == "internal"
    attempts = server.read(f"/jobs/{poison}/attempts")["data"]
    assert [attempt["outcome"] for attempt in attempts][-1] == "failed"
    assert len(attempts) <= math.ceil(math.log2(len(specs))) + 1
    for job_id in others:
        assert server.finish(job_id)["state"] == "succeeded"


def test_a_worker_killed_with_a_cohort_loses_none_of_it(server: Server, dataset_id: str) -> None:
    job_ids = _submit_while_busy(
        server, dataset_id, [{"training": LONG | {"seed": seed, "batch_size": 2, "max_epochs": 12}} for seed in range(3)]
    )
    for job_id in job_ids:
        server.wait(f"/jobs/{job_id}", lambda job: job["progress"] is not None)

    worker = server.part("workers")
    family = [worker, *worker.children(recursive=True)]
    worker.kill()
    psutil.wait_procs(family, timeout=10)

    jobs = [server.finish(job_id) for job_id in job_ids]
    assert [(job["state"], job["attempt"]["number"]) for job in jobs] == [("succeeded", 2)] * len(jobs)
    assert {job["resolved"]["cohort_size"] for job in jobs} == {len(jobs)}
    outcomes = [server.read(f"/jobs/{job_id}/attempts")["data"][0]["outcome"] for job_id in job_ids]
    assert outcomes == ["lost"] * len(jobs)


def test_a_cancelled_member_leaves_and_the_others_go_on(server: Server, dataset_id: str) -> None:
    first, other, last = _submit_while_busy(server, dataset_id, [{"training": LONG | {"seed": seed}} for seed in range(3)])
    server.wait(f"/jobs/{other}", lambda job: job["progress"] is not None)

    assert server.client.post(f"/jobs/{other}/cancel").status_code == 202

    assert server.finish(other, timeout_s=10)["state"] == "cancelled"
    ends = [server.finish(job_id) for job_id in (first, last)]
    assert [(job["state"], job["attempt"]["number"], job["resolved"]["cohort_size"]) for job in ends] == [("succeeded", 1, 3)] * 2

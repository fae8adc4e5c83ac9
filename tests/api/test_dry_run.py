"""A dry run of a submission: everything is checked and settled, nothing is queued, and what is told has a basis."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import func, select

from counterweight.contracts.jobs import Progress
from service.domain import estimates
from service.persistence import datasets
from service.persistence.database import Database
from service.persistence.tables import Event, IdempotentAnswer, Job
from tests.api.conftest import Api
from tests.factories import make_agent, make_dataset, make_job

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def plan(api: Api, dataset_id: str, **spec: Any) -> Any:
    return api.post("/api/v1/jobs?dry_run=true", json={"dataset_id": dataset_id, **spec}, headers={"Idempotency-Key": "k"})


def test_it_settles_what_a_submission_would_and_makes_nothing(api: Api, database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session)
    wanted: dict[str, Any] = {"loss": {"kind": "balanced_cross_entropy"}, "training": {"max_epochs": 7}}

    answer = plan(api, dataset.id, **wanted)

    with database.read() as session:
        made = [session.scalar(select(func.count()).select_from(table)) for table in (Job, IdempotentAnswer)]
        assert session.scalars(select(Event.subject)).all() == [dataset.id]
    submitted = api.submit(dataset.id, headers={"Idempotency-Key": "k"}, **wanted).json()
    assert (answer.status_code, made, "location" in answer.headers) == (200, [0, 0], False)
    assert all(answer.json()[field] == submitted[field] for field in ("spec", "loss", "dataset"))


@SQLITE
def test_it_refuses_what_a_submission_would(api: Api, database: Database) -> None:
    with database.write() as session:
        ready, reading, failed = (make_dataset(session, state=state) for state in ("ready", "processing", "failed"))

    answers = [plan(api, reading.id), plan(api, failed.id), plan(api, ready.id, exclude=["nothing"]), plan(api, "ds_1")]

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [
        (409, "dataset_not_ready"),
        (422, "dataset_failed"),
        (422, "unknown_column"),
        (404, "not_found"),
    ]


def test_time_is_reckoned_from_jobs_before_it(api: Api, database: Database) -> None:
    with database.write() as session:
        dataset, other = make_dataset(session), make_dataset(session)
        for on, rates in ((dataset, (1000.0, 3000.0, 8000.0)), (other, (5.0,))):
            for rate in rates:
                job = make_job(session, on, state="succeeded")
                job.progress = Progress(epoch=1, epochs=1, fraction=1.0, eta_s=0.0, rows_per_s=rate)

    known = plan(api, dataset.id, learner={"kind": "mlp"}, training={"max_epochs": 10}).json()["time"]
    unknown = plan(api, dataset.id, learner={"kind": "linear"}).json()["time"]

    train_rows = 650
    assert (known["rows_per_s"], known["at_most_s"]) == (3000.0, pytest.approx(train_rows * 10 / 3000))
    assert "last 3 mlp jobs on this dataset" in known["basis"]
    assert (unknown["at_most_s"], "no linear job" in unknown["basis"]) == (None, True)


def test_it_says_what_would_keep_the_job_waiting(api: Api, database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session)
        for priority in (10, 50, 90):
            make_job(session, dataset, priority=priority)
    nobody = plan(api, dataset.id).json()["queue"]
    with database.write() as session:
        make_agent(session, beat_at=datetime.now(UTC))

    anywhere, on_gpu = plan(api, dataset.id).json()["queue"], plan(api, dataset.id, resources={"device": "cuda"}).json()["queue"]
    queued = api.submit(dataset.id, resources={"device": "cuda"}).json()["queue"]

    # They have waited for months: by now all three go before a new one.
    assert (nobody["position"], "no worker" in nobody["blocked_by"][0]) == (3, True)
    assert anywhere["blocked_by"] == []
    assert ["GPU" in reason for reason in on_gpu["blocked_by"]] == [True]
    assert queued["blocked_by"] == on_gpu["blocked_by"]


@SQLITE
def test_memory_grows_with_what_takes_it(api: Api, database: Database) -> None:
    with database.write() as session:
        small = make_dataset(session)
        large = make_dataset(session, classes={"good": 900_000, "bad": 100_000})

    def needed(dataset_id: str, **learner: Any) -> int:
        return int(plan(api, dataset_id, learner={"kind": "mlp", **learner}).json()["memory"]["bytes"])

    assert estimates.TRAINER_BYTES < needed(small.id, width=8) < needed(small.id, width=4096, depth=4)
    assert needed(small.id) + 900_000 * 8 < needed(large.id)


@SQLITE
@pytest.mark.parametrize("split", [{}, {"validation": 0.3, "test": 0.3}])
def test_training_rows_are_those_that_the_loss_was_resolved_on(database: Database, split: dict[str, float]) -> None:
    with database.write() as session:
        dataset = make_dataset(session, classes={"good": 901, "bad": 97})
        job = make_job(session, dataset, split={"kind": "stratified", **split})

        share = 1 - job.spec.split.validation - job.spec.split.test  # type: ignore[union-attr]  # It is stratified.
        assert estimates.train_rows(job.spec, datasets.facts(dataset)) == pytest.approx(998 * share, abs=2)

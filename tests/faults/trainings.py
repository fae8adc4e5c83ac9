"""Three jobs that train long enough to be killed in the middle, and what must have become of them in the end."""

from typing import Any

from sqlalchemy import func, select

from service.persistence.database import Database
from service.persistence.tables import Event, MetricPoint, Model
from tests.server import Server

EPOCHS = 30
SLOW = {"max_epochs": EPOCHS, "batch_size": 8, "early_stopping": None}
"""Training that takes a second or more, so that there is a middle to be killed in."""

PLAIN = {"kind": "mlp", "numeric_embedding": "none"}
LOSSES: list[dict[str, Any]] = [{"kind": "cross_entropy"}, {"kind": "balanced_cross_entropy"}, {"kind": "focal"}]


def submit(server: Server, dataset_id: str, batch_size: int = 8, **more: Any) -> list[str]:
    training = SLOW | {"batch_size": batch_size}
    return [server.submit(dataset_id, loss=loss, training=training, learner=PLAIN, **more) for loss in LOSSES]


def await_training(server: Server, job_ids: list[str]) -> None:
    """Return once the first of these jobs that has not ended has finished an epoch of its attempt."""
    for job_id in job_ids:
        job = server.wait(f"/jobs/{job_id}", lambda job: job["is_terminal"] or (job["state"] == "running" and job["progress"]))
        if not job["is_terminal"]:
            return


def assert_all_succeeded_once(server: Server, database: Database, job_ids: list[str]) -> None:
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

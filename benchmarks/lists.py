"""How long a page of jobs takes when there are ten thousand: the newest, those of a state, and the best by a metric."""

import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from benchmarks.figures import Figure, at_most
from counterweight.contracts.ids import new_id
from service.persistence.database import Database
from service.persistence.tables import FinalMetric, Job, Series
from tests.factories import START, make_job
from tests.server import Server

JOBS = 10_000
ROUNDS = 200
LIMIT_MS = 50.0
METRICS = tuple(f"{split}/{name}" for split in ("validation", "test") for name in ("average_precision", "roc_auc", "log_loss", "mcc", "f1"))
LISTS: dict[str, dict[str, str]] = {
    "newest": {},
    "failed": {"filter": "state = failed"},
    "best by a metric": {"sort": '-metrics."test/average_precision"'},
    "best focal by a metric": {"filter": "loss.kind = focal AND loss.gamma >= 2", "sort": '-metrics."test/average_precision"'},
    "label": {"filter": 'labels.team = "risk"'},
}


def measure() -> list[Figure]:
    figures = []
    with tempfile.TemporaryDirectory() as folder, Server(Path(folder) / "home", workers="0") as server:
        database = Database(f"sqlite:///{server.home}/counterweight.db")
        with database.write() as session:
            _fill(session, JOBS)
        database.close()
        for name, params in LISTS.items():
            seconds = sorted(_seconds(server, params))
            figures.append(at_most(f"a page of {JOBS:,} jobs, {name}, p99", 1000 * seconds[int(0.99 * len(seconds))], LIMIT_MS, "ms"))
    return figures


def _fill(session: Session, count: int) -> None:
    """One in fifty failed, one in ten focal and one in a hundred of a team; all with their metrics."""
    model = make_job(session, state="succeeded", loss={"kind": "focal", "gamma": 2})
    columns: dict[str, Any] = {column.key: getattr(model, column.key) for column in Job.__mapper__.column_attrs}
    ids = [new_id("job", START + timedelta(minutes=number)) for number in range(count)]
    session.execute(insert(Job), [columns | {"id": job_id} | _facts(number) for number, job_id in enumerate(ids)])
    results = [{"job_id": job_id, "name": name, "value": (n * 7919 % count) / count} for n, job_id in enumerate(ids) for name in METRICS]
    session.execute(insert(FinalMetric), results)
    series = {"name": "train/loss", "value": 0.5, "best": 0.4, "best_epoch": 3, "goal": "min"}
    session.execute(insert(Series), [series | {"job_id": job_id} for job_id in ids])


def _facts(number: int) -> dict[str, Any]:
    return {
        "state": "failed" if number % 50 == 0 else "succeeded",
        "loss_kind": "focal" if number % 10 == 0 else "cross_entropy",
        "labels": {"team": "risk"} if number % 100 == 0 else {},
    }


def _seconds(server: Server, params: dict[str, str]) -> Iterator[float]:
    for _ in range(ROUNDS):
        started = time.perf_counter()
        assert server.client.get("/jobs", params=params).status_code == 200
        yield time.perf_counter() - started

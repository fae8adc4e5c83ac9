"""How long a claim takes while ten thousand jobs wait, and how many jobs a second eight clients can submit, each durably."""

import json
import statistics
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import insert, text
from sqlalchemy.orm import Session

from benchmarks.figures import Figure, at_most
from benchmarks.load import post
from counterweight.contracts.ids import new_id
from service.domain.admission import turn
from service.persistence import queue
from service.persistence.database import Database
from service.persistence.tables import Job
from tests import records
from tests.factories import START, make_agent, make_dataset, make_job
from tests.server import Server
from tests.tables_of_numbers import two_blobs

QUEUED, CLAIMS = 10_000, 200
CLAIM_MS = 5.0
CLIENTS = 8
WARM_S, SUBMITTING_S = 1.0, 5.0
WANTED_PER_S = {"sqlite": 100.0, "postgresql": 300.0}


def measure() -> list[Figure]:
    figures = []
    for kind in records.available():
        with tempfile.TemporaryDirectory() as folder, records.fresh(kind, Path(folder)) as url:
            figures.append(_submissions(kind, url, Path(folder)))
        with tempfile.TemporaryDirectory() as folder, records.fresh(kind, Path(folder)) as url:
            figures += _claims(kind, url)
    return figures


def _claims(kind: str, url: str) -> list[Figure]:
    """Claim one job after another: nothing else is asked of the database meanwhile, and it may have no statistics yet."""
    with closing(Database(url)) as database:
        with database.write() as session:
            _fill(session)
            agent = make_agent(session).id
        whole, committing = [], []
        for _ in range(CLAIMS):
            started = time.perf_counter()
            with database.write() as session:
                cohort = queue.claim_cohort(session, agent, ("auto", "cpu"), datetime.now(UTC))
                claimed = time.perf_counter()
            ended = time.perf_counter()
            assert cohort is not None
            whole.append(1000 * (ended - started))
            committing.append(1000 * (ended - claimed))
    told = f"{kind}: a claim, {QUEUED:,} queued, p50"
    return [
        at_most(f"{told} (of it {statistics.median(committing):.1f} ms until it is on the disk)", statistics.median(whole), CLAIM_MS, "ms")
    ]


def _fill(session: Session) -> None:
    model = make_job(session, make_dataset(session))
    columns = {column.key: getattr(model, column.key) for column in Job.__mapper__.column_attrs}
    moments = [START + timedelta(hours=1, seconds=number) for number in range(QUEUED - 1)]
    made = [columns | {"id": new_id("job", moment), "turn": turn(moment, 50), "priority": 50} for moment in moments]
    session.execute(insert(Job), made)


def _submissions(kind: str, url: str, folder: Path) -> Figure:
    """Submit from several clients at once, each waiting for its answer: a job is on the disk when it is answered."""
    with Server(folder / "home", database_url=url, workers="1") as server:
        dataset_id = server.upload(two_blobs(), target="event")
    with Server(folder / "home", database_url=url, workers="0") as server:
        jobs, body = f"{server.url}/api/v1/jobs", json.dumps({"dataset_id": dataset_id}).encode()
        found = [post(jobs, body, CLIENTS, seconds) for seconds in (WARM_S, SUBMITTING_S)]
    with closing(Database(url)) as database, database.read() as session:
        assert not any(each.broken for each in found)
        assert session.scalar(text("SELECT count(*) FROM jobs")) == sum(each.answers for each in found)
    per_s, wanted = found[-1].per_s, WANTED_PER_S[kind]
    return Figure(f"{kind}: jobs submitted by {CLIENTS} clients over HTTP", f"{per_s:.0f}/s", f"limit {wanted:g}/s", per_s / wanted)

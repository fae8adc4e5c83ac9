"""How long a claim takes while ten thousand jobs wait, and how many jobs a second eight clients can submit, each durably."""

import secrets
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psycopg
from sqlalchemy import insert, make_url, text
from sqlalchemy.orm import Session

from benchmarks.figures import Figure, at_most
from counterweight.contracts.ids import new_id
from service.domain.admission import turn
from service.persistence import queue, schema
from service.persistence.database import Database
from service.persistence.tables import Job
from tests.conftest import HAS_POSTGRES, POSTGRES_URL
from tests.factories import START, make_agent, make_dataset, make_job
from tests.server import Server
from tests.tables_of_numbers import two_blobs

QUEUED, CLAIMS = 10_000, 200
CLAIM_MS = 5.0
CLIENTS, SUBMISSIONS = 8, 100
WANTED_PER_S = {"SQLite": 100.0, "PostgreSQL": 300.0}


def measure() -> list[Figure]:
    figures = []
    for name in ("SQLite", "PostgreSQL") if HAS_POSTGRES else ("SQLite",):
        with tempfile.TemporaryDirectory() as folder, _database(name, Path(folder)) as url:
            figures.append(_submissions(name, url, Path(folder)))
        with tempfile.TemporaryDirectory() as folder, _database(name, Path(folder)) as url:
            figures += _claims(name, url)
    return figures


def _claims(name: str, url: str) -> list[Figure]:
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
    told = f"{name}: a claim, {QUEUED:,} queued, p50"
    return [
        at_most(f"{told} (of it {statistics.median(committing):.1f} ms until it is on the disk)", statistics.median(whole), CLAIM_MS, "ms")
    ]


def _fill(session: Session) -> None:
    model = make_job(session, make_dataset(session))
    columns = {column.key: getattr(model, column.key) for column in Job.__mapper__.column_attrs}
    moments = [START + timedelta(hours=1, seconds=number) for number in range(QUEUED - 1)]
    made = [columns | {"id": new_id("job", moment), "turn": turn(moment, 50), "priority": 50} for moment in moments]
    session.execute(insert(Job), made)


def _submissions(name: str, url: str, folder: Path) -> Figure:
    """Submit from several clients at once, each waiting for its answer: a job is on the disk when it is answered."""
    with Server(folder / "home", database_url=url, workers="1") as server:
        dataset_id = server.upload(two_blobs(), target="event")
    with Server(folder / "home", database_url=url, workers="0") as server:
        clients = [threading.Thread(target=_submit, args=(server.url, dataset_id)) for _ in range(CLIENTS)]
        started = time.perf_counter()
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        seconds = time.perf_counter() - started
    with closing(Database(url)) as database, database.read() as session:
        assert session.scalar(text("SELECT count(*) FROM jobs")) == CLIENTS * SUBMISSIONS
    per_s, wanted = CLIENTS * SUBMISSIONS / seconds, WANTED_PER_S[name]
    return Figure(f"{name}: jobs submitted by {CLIENTS} clients over HTTP", f"{per_s:.0f}/s", f"limit {wanted:g}/s", per_s / wanted)


def _submit(url: str, dataset_id: str) -> None:
    with httpx.Client(base_url=f"{url}/api/v1", timeout=60) as client:
        for _ in range(SUBMISSIONS):
            client.post("/jobs", json={"dataset_id": dataset_id}).raise_for_status()


@contextmanager
def _database(name: str, folder: Path) -> Iterator[str]:
    """Give the URL of a migrated, empty database."""
    if name == "SQLite":
        url = f"sqlite:///{folder / 'record.db'}"
        _migrate(url)
        yield url
        return
    own = f"cw_bench_{secrets.token_hex(6)}"
    _admin(f'CREATE DATABASE "{own}"')
    url = make_url(POSTGRES_URL).set(database=own).render_as_string(hide_password=False)
    _migrate(url)
    yield url
    _admin(f'DROP DATABASE "{own}" WITH (FORCE)')


def _migrate(url: str) -> None:
    with closing(Database(url)) as database:
        schema.upgrade(database)


def _admin(statement: str) -> None:
    conninfo = make_url(POSTGRES_URL).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(statement)  # Only the name made above is put into it.

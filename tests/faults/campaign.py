"""Killing a server under load, at named points or at random, and accounting for all it had acknowledged."""

import contextlib
import hashlib
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
from sqlalchemy import func, select

from counterweight.crashpoints import KILL, VARIABLE, arm
from service.persistence import housekeeping
from service.persistence.database import Database
from service.persistence.files import Files
from service.persistence.tables import Artifact, Attempt, Dataset, Event, Job, MetricPoint, Model
from tests.faults.load import entries
from tests.faults.proxy import Proxy
from tests.server import Server, trainers_of

GOES_OFF_S = 180
ENDS_S = 120
LEASE_S = 2
PATIENT_LEASE_S = 15
"""Where nobody may be taken for lost: on a busy machine somebody who lives can be silent for a short lease."""

CHECKPOINT_S = 0.2
MOST_PEACE_S = 2.0
"""So long nobody is killed, at most, once the server answers."""

API = (
    "upload.created",
    "upload.receiving",
    "upload.before_sync",
    "upload.synced",
    "upload.renamed",
    "upload.kept",
    "upload.committed",
    "write.before_begin",
    "submission.before_event",
    "write.before_commit",
    "write.committed",
    "deletion.committed",
)
AGENT = (
    "claim.committed",
    "agent.registered",
    "report.heard",
    "report.committed",
    "finish.before_event",
    "cancel.passed_on",
    "tidying.looked",
    "reaper.found",
)
CHILDREN = (
    "ingest.begun",
    "ingest.read",
    "ingest.member",
    "training.step",
    "checkpoint.begun",
    "checkpoint.written",
    "artifact.before_sync",
    "artifact.renamed",
    "finish.before_report",
)
ERRORS = (("upload.receiving", "ENOSPC"), ("upload.before_sync", "EIO"), ("artifact.before_sync", "ENOSPC"), ("checkpoint.begun", "ENOSPC"))
ON_START = ("agent.registered", "tidying.looked")
"""Reached when an agent begins: one must die first."""

SECOND = "second worker"

ON_SILENCE = "reaper.found"
"""Reached when an agent has been silent for a lease: one must die that nobody starts again on its home."""


@dataclass(frozen=True)
class Shot:
    point: str
    what: str = KILL
    passes: int = 0


def shots(seed: int) -> list[list[Shot]]:
    """Return, for the API, the agent and its children, what is to go off in which order: each point once."""
    source = random.Random(seed)
    lanes = [[Shot(point) for point in points] for points in (API, AGENT, CHILDREN)]
    for point, what in ERRORS:
        lanes[0 if point.startswith("upload") else 2].append(Shot(point, what))
    for lane in lanes:
        source.shuffle(lane)
    return [[Shot(shot.point, shot.what, _passes(shot.point, seed, source)) for shot in lane] for lane in lanes]


def _passes(point: str, seed: int, source: random.Random) -> int:
    """With the first seed each goes off when it is reached first; with others later, at other work, but for those reached by a death alone:
    `fire` causes one of these for each."""
    passes = source.randrange(4)
    return passes if seed and point not in (*ON_START, ON_SILENCE) else 0


class Second:
    """A worker beside that of the server; whenever it has died, it is started again as a host that was never seen before."""

    def __init__(self, server: Server) -> None:
        self._server, self._started = server, 1
        self._process = server.start_worker("second-1")

    def revive(self) -> None:
        if self._process.poll() is not None:
            self._started += 1
            self._process = self._server.start_worker(f"second-{self._started}")

    @property
    def process(self) -> psutil.Process:
        return psutil.Process(self._process.pid)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@dataclass(frozen=True)
class Target:
    """What is killed: a server with a worker of its own, a second worker, and their way to PostgreSQL."""

    server: Server
    second: Second
    way: Proxy | None


@contextmanager
def armed_target(folder: Path, database_url: str, way: Proxy | None, lease_s: float = LEASE_S) -> Iterator[Target]:
    """Start a server and a second worker whose points are armed in the folder `armed`."""
    database_url = database_url if way is None else way.url
    (folder / "armed").mkdir()
    settings = {"lease_s": str(lease_s), "checkpoint_s": str(CHECKPOINT_S), "workers": "1"}
    server = Server(folder / "home", database_url=database_url, files_url=f"file://{folder / 'files'}", **settings)
    server.environment[VARIABLE] = str(folder / "armed")
    with server:
        second = Second(server)
        try:
            yield Target(server, second, way)
        finally:
            second.kill()


@contextmanager
def load(server: Server, path: Path, seed: int) -> Iterator[None]:
    """Put the server under load by another process, which must end well."""
    command = [sys.executable, "-m", "tests.faults.load", server.url, str(path), str(seed)]
    with (
        path.with_suffix(".log").open("wb") as log,
        subprocess.Popen(command, stdin=subprocess.PIPE, stderr=log, cwd=Path(__file__).parents[2]) as client,
    ):
        try:
            yield
            client.communicate(timeout=ENDS_S)
        finally:
            client.kill()
    assert client.returncode == 0, path.with_suffix(".log").read_text()


def fire(target: Target, folder: Path, lanes: Sequence[Sequence[Shot]]) -> int:
    """Let the points of each lane go off one after another, the lanes side by side; return how many did."""
    waiting = [list(lane) for lane in lanes]
    armed: list[Shot | None] = [None] * len(waiting)
    since, fired = time.monotonic(), 0
    while any(waiting) or any(armed):
        for number, lane in enumerate(waiting):
            shot = armed[number]
            if shot is not None and not (folder / shot.point).exists():
                armed[number], since, fired = None, time.monotonic(), fired + 1
            if armed[number] is None and lane:
                shot = armed[number] = lane.pop(0)
                arm(folder, shot.point, shot.what, shot.passes)
                if shot.point in ON_START:
                    target.server.part("workers").kill()
                if shot.point == ON_SILENCE:
                    target.second.kill()
        target.second.revive()
        assert time.monotonic() - since < GOES_OFF_S, f"never reached: {[shot for shot in armed if shot]}\n{target.server.tale}"
        time.sleep(0.02)
    return fired


def await_training(server: Server) -> None:
    """Return once a job runs."""
    deadline = time.monotonic() + GOES_OFF_S
    while not server.read("/jobs", filter="state = running")["data"]:
        assert time.monotonic() < deadline, server.tale
        time.sleep(0.1)


def await_work(target: Target, source: random.Random) -> None:
    """Return a moment after the server answers, in which now and then a trainer begins and gets somewhere."""
    target.second.revive()
    target.server.read("/jobs", limit="1")
    time.sleep(source.uniform(0, MOST_PEACE_S))


def kill_at_random(target: Target, source: random.Random) -> str:
    """Kill one of the processes that live, or sometimes all of the server's at once; return what was killed."""
    server = target.server
    if source.random() < 1 / 20:
        server.kill_everything()
        server.start()
        return "everything"
    while True:
        living = list(_living(target))
        what, process = source.choice(living)
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
            if what == SECOND:
                target.second.kill()
            return what


def _living(target: Target) -> Iterator[tuple[str, psutil.Process]]:
    """Yield the API, the workers, and whatever they have started; without the supervisor, which nobody would start again."""
    worker, second = target.server.part("workers"), target.second.process
    yield from (("API", target.server.part("service.api")), ("worker", worker), (SECOND, second))
    for agent in (worker, second):
        yield from (("trainer or comparison", child) for child in trainers_of(agent))
        with contextlib.suppress(psutil.NoSuchProcess):
            started = [(child, " ".join(child.cmdline())) for child in agent.children()]
            yield from (("server of trainers", child) for child, command in started if "forkserver" in command)
            yield from (("reader", child) for child, command in started if "spawn_main" in command)


def cut_commits(way: Proxy, count: int, source: random.Random) -> int:
    """End the connection of so many commits, before they arrive or before they are answered, with others between; return how many."""
    for _ in range(count):
        way.cut_commits([source.choice(["before", "after"])])
        deadline = time.monotonic() + GOES_OFF_S
        while way.is_cutting:
            assert time.monotonic() < deadline, "nobody commits"
            time.sleep(0.01)
        time.sleep(source.uniform(0, 0.2))
    return count


def lost_for_silence(database: Database) -> int:
    """Return how many attempts ended because their worker was not seen for a lease."""
    with database.read() as session:
        return session.scalar(select(func.count()).where(Attempt.detail.contains("silent for a whole lease"))) or 0


def account(server: Server, database: Database, ledger: Path) -> Counter[str]:
    """Wait until all work is over, and assert that nothing acknowledged was lost, doubled, torn or left; return what there was."""
    noted = entries(ledger)
    submitted = {entry.subject: entry.key for entry in noted if entry.what == "submitted"}
    by = {what: {entry.subject for entry in noted if entry.what == what} for what in ("cancelled", "deleting", "deleted", "uploaded")}
    for job_id in submitted:
        if job_id not in by["deleting"]:
            server.finish(job_id, ENDS_S)
    with database.read() as session:
        jobs = {job.id: job for job in session.scalars(select(Job))}
        datasets = {dataset.id: dataset for dataset in session.scalars(select(Dataset))}
        log = session.scalars(select(Event).order_by(Event.id)).all()
        points = session.execute(select(MetricPoint.job_id, MetricPoint.epoch).where(MetricPoint.series == "train/loss")).all()
        models = Counter(session.scalars(select(Model.job_id)))
        artifacts = session.scalars(select(Artifact)).all()
    lost = submitted.keys() - jobs.keys() - by["deleting"]
    assert not lost, f"acknowledged and lost: {lost}"
    assert not by["uploaded"] - datasets.keys()
    assert not by["deleted"] & jobs.keys(), "deleted and there again"
    keys = Counter(job.labels["key"] for job in jobs.values())
    assert max(keys.values()) == 1, f"doubled: {[key for key, count in keys.items() if count > 1]}"
    digests = Counter((dataset.sha256, str(dataset.options)) for dataset in datasets.values())
    assert max(digests.values()) == 1, "a file became two datasets"
    ends = {"cancelled", "succeeded"}
    for job in jobs.values():
        assert job.state in ends, f"{job.id} of {job.labels} is {job.state}: {job.error}\n{server.tale}"
        epochs = sorted(epoch for job_id, epoch in points if job_id == job.id)
        assert epochs == list(range(1, len(epochs) + 1)), (job.id, epochs)
        assert models[job.id] == (job.state == "succeeded")
        moves = [event for event in log if event.subject == job.id and event.kind == "job"]
        assert [event.from_state for event in moves] == [None, *(event.to_state for event in moves[:-1])]
        assert moves[-1].to_state == job.state
    files = Files(server.home.parent / "files")
    for artifact in artifacts:
        assert hashlib.sha256(files.path(artifact.path).read_bytes()).hexdigest() == artifact.sha256, artifact.path
    _assert_no_garbage(server, database, files)
    return Counter(job.state for job in jobs.values()) + Counter(datasets=len(datasets), deleted=len(by["deleted"]))


def _assert_no_garbage(server: Server, database: Database, files: Files) -> None:
    """Stop the server, tidy as in two days, and find every file that is left in the record."""
    server.stop()
    housekeeping.tidy(database, files, datetime.now(UTC) + timedelta(days=2))
    with database.read() as session:
        living = {*session.scalars(select(Job.id)), *session.scalars(select(Dataset.id))}
        sources = set(session.scalars(select(Dataset.source_path)))
    assert not list((files.folder / "incoming").iterdir())
    left = {path.name for parent in ("jobs", "datasets") for path in files.folder.glob(f"{parent}/*")}
    assert left <= living, f"files of nothing: {left - living}"
    for source in sources:
        assert files.path(source).is_file()

"""At each point of a worker, of its trainers and of its readers: what it was at work on ends well and once, and nothing else is left."""

import itertools
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from counterweight.crashpoints import KILL, arm
from service.persistence.database import Database
from tests.faults.campaign import AGENT, CHILDREN, ERRORS, ON_SILENCE, ON_START, account
from tests.faults.load import ENDLESS, Ledger
from tests.faults.trainings import PLAIN
from tests.ingest.pictures import two_classes, zipped
from tests.server import Server
from tests.tables_of_numbers import two_blobs

SETTINGS = {"workers": "0", "checkpoint_s": "0.02"}
BRIEF = {"max_epochs": 4, "batch_size": 16, "early_stopping": None}
"""Training that takes a moment in which several checkpoints fall."""

GOES_OFF_S = 60
ON_A_WORKERS_WAY = ("claim.committed", *ON_START, "report.heard")
"""A worker that comes back after one of these reaches the next before it has trained anything, which takes long to begin."""

CHAINS = [
    [(point, KILL) for point in ON_A_WORKERS_WAY],
    *([(point, KILL)] for point in (*AGENT, *CHILDREN) if point not in ON_A_WORKERS_WAY),
    *([shot] for shot in ERRORS if not shot[0].startswith("upload")),
]


class Kept:
    """A worker beside a server that has none of its own, started again at once whenever it dies."""

    def __init__(self, server: Server) -> None:
        self._server, self._is_over = server, threading.Event()
        self._process = server.start_worker("kept")
        self._keeper = threading.Thread(target=self._keep)
        self._keeper.start()

    def end(self) -> None:
        self._is_over.set()
        # One that was being started meanwhile is ended too.
        while self._keeper.is_alive():
            self._process.terminate()
            self._keeper.join(0.1)

    def _keep(self) -> None:
        while self._process.wait() is not None and not self._is_over.is_set():
            self._process = self._server.start_worker("kept")


@dataclass
class Work:
    """Asks for what leads past a point, and writes down what was acknowledged."""

    server: Server
    worker: Kept
    ledger: Ledger
    dataset_id: str
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def past(self, point: str) -> None:
        """Do something that passes the point, and return when it has ended well."""
        if point == ON_SILENCE:
            self._lose_a_host()
        if point.startswith("ingest"):
            self._read_images() if point == "ingest.member" else self._read_table()
        else:
            self._train(is_cancelled=point == "cancel.passed_on")

    def _read_table(self) -> None:
        content = two_blobs(seed=1 + next(self.numbers))
        self.ledger.note("uploaded", "", self.server.upload(content, target="event"))

    def _read_images(self) -> None:
        answer = self.server.client.post("/datasets", content=zipped(two_classes()), headers={"Content-Type": "application/zip"})
        dataset_id = answer.json()["id"]
        self.ledger.note("uploaded", "", dataset_id)
        assert self.server.wait(f"/datasets/{dataset_id}", lambda dataset: dataset["state"] != "processing")["state"] == "ready"

    def _train(self, *, is_cancelled: bool) -> None:
        key = f"job {next(self.numbers)}"
        job_id = self.server.submit(self.dataset_id, learner=PLAIN, training=ENDLESS if is_cancelled else BRIEF, labels={"key": key})
        self.ledger.note("submitted", key, job_id)
        if is_cancelled:
            self.server.wait(f"/jobs/{job_id}", lambda job: job["progress"] is not None)
            assert self.server.client.post(f"/jobs/{job_id}/cancel").status_code == 202
        assert self.server.finish(job_id)["state"] == ("cancelled" if is_cancelled else "succeeded")

    def _lose_a_host(self) -> None:
        """Let a worker of another host join, and die."""
        other: subprocess.Popen[bytes] = self.server.start_worker("other")
        _until(lambda: len(self.server.read("/workers")["data"]) == 2)
        other.kill()
        other.wait()


@contextmanager
def kept(server: Server) -> Iterator[Kept]:
    worker = Kept(server)
    try:
        yield worker
    finally:
        worker.end()


def test_a_death_at_each_point_costs_nothing(server: Server, armed: Path, database: Database, tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    with closing(Ledger(path)) as ledger, kept(server) as worker:
        work = Work(server, worker, ledger, server.upload(two_blobs(), target="event"))
        for chain in CHAINS:
            for point, what in chain:
                arm(armed, point, what)
            work.past(chain[-1][0])
            _until(lambda: not list(armed.iterdir()))

    assert sum(map(len, CHAINS)) == len(AGENT) + len(CHILDREN) + 2
    account(server, database, path)


def _until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + GOES_OFF_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)

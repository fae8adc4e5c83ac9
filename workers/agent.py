"""The agent of a host: claims work, starts a child for each, commits what the children report, and shows that it lives."""

import contextlib
import logging
import math
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection, wait
from typing import TypeVar

from sqlalchemy.orm import Session

from counterweight.contracts.datasets import TableFacts
from counterweight.contracts.ids import new_id
from counterweight.contracts.messages import Cancelled, Failed, Ingested, IngestRefused, IngestTask, Member, Succeeded, TrainerTask
from service.domain.errors import LostClaim
from service.persistence import changes, housekeeping, queue, recording
from service.persistence.database import DATABASE_AWAY, Database
from service.persistence.files import Files
from service.persistence.queue import Claim
from service.persistence.recording import TrainerReport
from service.persistence.tables import Agent as AgentRow
from service.persistence.tables import Dataset, Job
from workers.devices import Slot
from workers.processes import Child, IngestProcess, Nursery, TrainerProcess
from workers.pulse import Pulse

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

DATABASE_RETRY_S = 0.5
CANCEL_PATIENCE_S = 5.0
"""A cancel is honoured within 10 s: so long the trainer has to stop by itself."""

TIDY_S = 3600.0
LOOK_ANYWAY_S = 2.0
"""Work is looked for this often even when nobody announced any."""


@dataclass
class Training:
    """A job being trained in one of the slots."""

    claim: Claim
    slot: int
    process: TrainerProcess
    told_to_stop_at: float | None = None


@dataclass
class Reading:
    """A file being read."""

    claim: Claim
    process: IngestProcess


class Agent:
    """Runs until `stop` is called; every write is fenced, so that a late one of a lost agent changes nothing."""

    def __init__(self, database: Database, files: Files, slots: list[Slot], home_id: str, lease_s: float) -> None:
        self._database, self._files, self._slots, self._home_id, self._lease_s = database, files, slots, home_id, lease_s
        self._nursery = Nursery()
        self._trainings: dict[str, Training] = {}
        self._readings: dict[str, Reading] = {}
        self._stop = threading.Event()
        self._wake_out, self._wake_in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._id = ""
        self._should_look = True
        self._looked_at = self._tidied_at = -math.inf

    def stop(self) -> None:
        """Ask the agent to give its work back and end; may be called from a signal handler."""
        self._stop.set()
        self._wake()

    def run(self) -> None:
        """Claim, train and record until told to stop."""
        self._nursery.warm_up()
        self._patiently(self._take_over_home)
        threading.Thread(target=self._listen, daemon=True, name="changes").start()
        while not self._stop.is_set():
            self._patiently(self._register)
            pulse = Pulse(self._database, self._id, self._lease_s, on_lost=self._wake)
            with pulse:
                while not self._stop.is_set() and not pulse.is_lost:
                    self._turn()
            self._end_children()
            if not pulse.is_lost:
                # If the database is away, whoever watches our beat gives our work back.
                with contextlib.suppress(*DATABASE_AWAY), self._database.write() as session:
                    queue.retire_agent(session, self._id, "drained", _now())

    def _turn(self) -> None:
        """Look after the queue when something changed, and now and then anyway; then hear what the children say."""
        if self._should_look or time.monotonic() - self._looked_at > LOOK_ANYWAY_S:
            self._should_look, self._looked_at = False, time.monotonic()
            for step in (self._give_back_strays, self._claim_what_fits, self._pass_on_cancels, self._tidy):
                self._patiently(step)
        running: list[Training | Reading] = [*self._trainings.values(), *self._readings.values()]
        children = {child.process.connection: child for child in running}
        ready = wait([self._wake_out, *children], timeout=LOOK_ANYWAY_S)
        for one in ready:
            if isinstance(one, Connection):
                child = children[one]
                self._hear_training(child) if isinstance(child, Training) else self._hear_reading(child)
            else:
                self._should_look = True
                os.read(self._wake_out, 4096)

    def _claim_what_fits(self) -> None:
        # LostClaim: others have declared this agent lost; its next beat will tell, and it begins anew.
        with contextlib.suppress(LostClaim):
            if not self._readings and self._slots:
                self._start_reading()
            busy = {training.slot for training in self._trainings.values()}
            for index, slot in enumerate(self._slots):
                if index not in busy:
                    self._start_training(index, slot)

    def _give_back_strays(self) -> None:
        known = self._trainings.keys() | self._readings.keys()
        with self._database.read() as session:
            strays = queue.held(session, self._id) - known
        if strays:
            with self._database.write() as session:
                logger.warning("held without knowing, and given back: %s", queue.give_back_strays(session, self._id, known, _now()))

    def _tidy(self) -> None:
        if time.monotonic() - self._tidied_at > TIDY_S:
            self._tidied_at = time.monotonic()
            housekeeping.tidy(self._database, self._files, _now())

    def _start_training(self, index: int, slot: Slot) -> None:
        with self._database.write() as session:
            claimed = queue.claim_job(session, self._id, slot.takes, _now())
        if claimed is None:
            return
        claim, job, dataset = claimed
        task = self._task(claim, job, dataset, slot)
        self._trainings[claim.id] = Training(claim, index, self._nursery.start_trainer(task))
        logger.info("training %s on %s under fence %s", claim.id, slot.device, claim.fence)

    def _task(self, claim: Claim, job: Job, dataset: Dataset, slot: Slot) -> TrainerTask:
        assert dataset.table_path is not None
        assert dataset.table_sha256 is not None
        test = job.test_dataset
        folder = self._files.make_attempt_folder(recording.job_folder(claim.id), claim.fence)
        return TrainerTask(
            members=[Member(job_id=claim.id, spec=job.spec, folder=str(folder))],
            table=str(self._files.path(dataset.table_path)),
            table_sha256=dataset.table_sha256,
            test_table=None if test is None or test.table_path is None else str(self._files.path(test.table_path)),
            test_table_sha256=None if test is None else test.table_sha256,
            facts=TableFacts.model_validate(dataset),
            cache_folder=str(self._files.make_folder(recording.cache_folder(dataset.id))),
            device="cpu" if job.device == "cpu" else slot.device,
            threads=slot.threads,
        )

    def _start_reading(self) -> None:
        with self._database.write() as session:
            claimed = queue.claim_dataset(session, self._id)
        if claimed is None:
            return
        claim, source, options = claimed
        folder = self._files.make_attempt_folder(recording.dataset_folder(claim.id), claim.fence)
        task = IngestTask(source=str(self._files.path(source)), folder=str(folder), options=options)
        self._readings[claim.id] = Reading(claim, self._nursery.start_reader(task))
        logger.info("reading %s under fence %s", claim.id, claim.fence)

    def _hear_training(self, training: Training) -> None:
        """Commit a trainer's reports; when it has ended without a last word, count a crash."""
        process, claim = training.process, training.claim
        reports = process.reports()
        has_last_word = any(isinstance(report, Succeeded | Failed | Cancelled) for report in reports)
        # A trainer killed right after it spoke: its words and its end are read at once.
        crash = process.how_it_ended() if process.has_ended and not has_last_word else None
        try:
            self._commit(lambda session: self._record_training(session, claim, reports, crash))
        except LostClaim as lost:
            logger.warning("%s; its trainer ends", lost)
            has_last_word = True
        if has_last_word or process.has_ended:
            self._end_training(claim.id)

    def _record_training(self, session: Session, claim: Claim, reports: list[TrainerReport], crash: str | None) -> None:
        recording.record_job(session, claim, reports, _now())
        if crash is not None:
            queue.crash(session, queue.lock(session, Job, claim), crash, _now())

    def _end_training(self, job_id: str) -> None:
        self._trainings.pop(job_id).process.kill()
        self._should_look = True

    def _hear_reading(self, reading: Reading) -> None:
        """Commit what a reader found, or that it died."""
        process, claim = reading.process, reading.claim
        answer = process.report()
        if answer is None and not process.has_ended:
            return
        crash = process.how_it_ended() if answer is None else ""
        try:
            self._commit(lambda session: self._record_reading(session, claim, answer, crash))
        except LostClaim as lost:
            logger.warning("%s; its reader ends", lost)
        self._readings.pop(claim.id).process.kill()
        self._should_look = True

    def _record_reading(self, session: Session, claim: Claim, answer: Ingested | IngestRefused | None, crash: str) -> None:
        if isinstance(answer, Ingested):
            table = f"{recording.dataset_folder(claim.id)}/{claim.fence}/{answer.table}"
            recording.record_dataset(session, claim, answer.facts, table, answer.table_sha256, _now())
            return
        dataset = queue.lock(session, Dataset, claim)
        if answer is None:
            queue.crash_dataset(session, dataset, crash, _now())
        else:
            queue.refuse_dataset(session, dataset, answer.code, answer.detail, _now())

    def _pass_on_cancels(self) -> None:
        """Tell trainers to stop; one that does not in time (it may be deep in an evaluation) is ended."""
        if not self._trainings:
            return
        with self._database.read() as session:
            cancelled = queue.cancelling(session, self._id)
        for training in [self._trainings[job_id] for job_id in cancelled if job_id in self._trainings]:
            if training.told_to_stop_at is None:
                training.told_to_stop_at = time.monotonic()
                training.process.cancel(training.claim.id)
            elif time.monotonic() - training.told_to_stop_at > CANCEL_PATIENCE_S:
                self._cancel_by_force(training)

    def _cancel_by_force(self, training: Training) -> None:
        with contextlib.suppress(LostClaim), self._database.write() as session:
            queue.cancelled(session, queue.lock(session, Job, training.claim), _now())
        self._end_training(training.claim.id)

    def _end_children(self) -> None:
        children: list[Child] = [*(one.process for one in self._trainings.values()), *(one.process for one in self._readings.values())]
        for child in children:
            child.kill()
        self._trainings.clear()
        self._readings.clear()

    def _take_over_home(self) -> None:
        with self._database.write() as session:
            for dead in queue.agents_of_home(session, self._home_id):
                returned = queue.retire_agent(session, dead, "lost", _now())
                logger.warning("agent %s of this home had died; back in the queue: %s", dead, returned or "nothing")

    def _register(self) -> None:
        now = _now()
        self._id = new_id("agt", now)
        row = AgentRow(
            id=self._id,
            home_id=self._home_id,
            host=socket.gethostname(),
            devices=[slot.device for slot in self._slots],
            beat=0,
            beat_at=now,
            started_at=now,
        )
        with self._database.write() as session:
            queue.register_agent(session, row)
        rooms = ", ".join(f"{slot.device} ({slot.threads} threads)" for slot in self._slots)
        logger.info("agent %s in process %s trains on %s", self._id, os.getpid(), rooms)

    def _commit(self, write: Callable[[Session], None]) -> None:
        def attempt() -> None:
            with self._database.write() as session:
                write(session)

        self._patiently(attempt)

    def _patiently(self, step: Callable[[], Result]) -> Result | None:
        """Do a step that needs the database, again and again while the database is away; its writes can be repeated."""
        while not self._stop.is_set():
            try:
                return step()
            except DATABASE_AWAY as error:
                logger.warning("the database does not answer (%s); trying again", str(error).splitlines()[0])
                self._stop.wait(DATABASE_RETRY_S)
        return None

    def _listen(self) -> None:
        for changed in changes.watch(self._database, self._stop):
            if changed:
                self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_in, b"!")


def _now() -> datetime:
    return datetime.now(UTC)

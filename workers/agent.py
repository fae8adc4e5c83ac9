"""The agent of a host: claims work, starts a child for each, commits what the children report, and shows that it lives."""

import contextlib
import logging
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection, wait
from typing import TypeVar

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session

from counterweight.contracts.datasets import TableFacts
from counterweight.contracts.ids import new_id
from counterweight.contracts.messages import Cancelled, Failed, Ingested, IngestRefused, IngestTask, Member, Succeeded, TrainerTask
from service.domain.errors import LostClaim
from service.persistence import changes, housekeeping, queue, recording
from service.persistence.database import Database
from service.persistence.files import Files
from service.persistence.queue import Claim
from service.persistence.tables import Agent as AgentRow
from service.persistence.tables import Dataset, Job
from workers.devices import Slot
from workers.processes import Child, IngestProcess, Nursery, TrainerProcess
from workers.pulse import Pulse

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

DATABASE_RETRY_S = 0.5
LOOK_ANYWAY_S = 2.0
"""Work is looked for this often even when nobody announced any."""


@dataclass
class Training:
    """A job being trained in one of the slots."""

    claim: Claim
    slot: int
    process: TrainerProcess


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

    def stop(self) -> None:
        """Ask the agent to give its work back and end; may be called from a signal handler."""
        self._stop.set()
        self._wake()

    def run(self) -> None:
        """Claim, train and record until told to stop."""
        self._nursery.warm_up()
        self._patiently(self._take_over_home)
        self._patiently(lambda: housekeeping.tidy(self._database, self._files, _now()))
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
                with contextlib.suppress(OperationalError, InterfaceError), self._database.write() as session:
                    queue.retire_agent(session, self._id, "drained", _now())

    def _turn(self) -> None:
        """Start what fits and pass on cancels, when something changed; then wait for the children and record what they say."""
        if self._should_look:
            self._should_look = False
            self._patiently(self._claim_what_fits)
            self._patiently(self._pass_on_cancels)
        running: list[Training | Reading] = [*self._trainings.values(), *self._readings.values()]
        children = {child.process.connection: child for child in running}
        ready = wait([self._wake_out, *children], timeout=LOOK_ANYWAY_S)
        if not ready:
            self._should_look = True
        for one in ready:
            if isinstance(one, Connection):
                child = children[one]
                self._hear_training(child) if isinstance(child, Training) else self._hear_reading(child)
            else:
                self._should_look = True
                os.read(self._wake_out, 4096)

    def _claim_what_fits(self) -> None:
        if not self._readings and self._slots:
            self._start_reading()
        busy = {training.slot for training in self._trainings.values()}
        for index, slot in enumerate(self._slots):
            if index not in busy and not self._start_training(index, slot):
                return

    def _start_training(self, index: int, slot: Slot) -> bool:
        with self._database.write() as session:
            claimed = queue.claim_job(session, self._id, slot.takes, _now())
            if claimed is None:
                return False
            claim, job, dataset = claimed
            task = self._task(claim, job, dataset, slot)
        self._trainings[claim.id] = Training(claim, index, self._nursery.start_trainer(task))
        logger.info("training %s on %s under fence %s", claim.id, slot.device, claim.fence)
        return True

    def _task(self, claim: Claim, job: Job, dataset: Dataset, slot: Slot) -> TrainerTask:
        assert dataset.table_path is not None
        assert dataset.table_sha256 is not None
        facts = TableFacts.model_validate(dataset)
        folder = self._files.make_attempt_folder(recording.job_folder(claim.id, claim.fence))
        return TrainerTask(
            members=[Member(job_id=claim.id, spec=job.spec, folder=str(folder))],
            table=str(self._files.path(dataset.table_path)),
            table_sha256=dataset.table_sha256,
            facts=facts,
            cache_folder=str(self._files.make_folder(f"cache/{dataset.id}")),
            device="cpu" if job.device == "cpu" else slot.device,
            threads=slot.threads,
        )

    def _start_reading(self) -> None:
        with self._database.write() as session:
            claimed = queue.claim_dataset(session, self._id)
        if claimed is None:
            return
        claim, source, options = claimed
        folder = self._files.make_attempt_folder(recording.dataset_folder(claim.id, claim.fence))
        task = IngestTask(source=str(self._files.path(source)), folder=str(folder), options=options)
        self._readings[claim.id] = Reading(claim, self._nursery.start_reader(task))
        logger.info("reading %s under fence %s", claim.id, claim.fence)

    def _hear_training(self, training: Training) -> None:
        """Commit a trainer's reports; when it has ended without a last word, count a crash."""
        process, claim = training.process, training.claim
        reports = process.reports()
        is_over = process.has_ended or any(isinstance(report, Succeeded | Failed | Cancelled) for report in reports)
        try:
            if reports:
                self._commit(lambda session: recording.record_job(session, claim, reports, _now()))
            elif process.has_ended:
                detail = process.how_it_ended()
                self._commit(lambda session: queue.crash(session, queue.lock(session, Job, claim), detail, _now()))
        except LostClaim as lost:
            logger.warning("%s; its trainer ends", lost)
            is_over = True
        if is_over:
            self._trainings.pop(claim.id).process.kill()
            self._should_look = True

    def _hear_reading(self, reading: Reading) -> None:
        """Commit what a reader found, or that it died."""
        process, claim = reading.process, reading.claim
        answer = process.report()
        if answer is None and not process.has_ended:
            return
        try:
            self._commit(lambda session: self._record_reading(session, claim, answer, process))
        except LostClaim as lost:
            logger.warning("%s; its reader ends", lost)
        self._readings.pop(claim.id).process.kill()
        self._should_look = True

    def _record_reading(self, session: Session, claim: Claim, answer: Ingested | IngestRefused | None, process: IngestProcess) -> None:
        if isinstance(answer, Ingested):
            table = f"{recording.dataset_folder(claim.id, claim.fence)}/{answer.table}"
            recording.record_dataset(session, claim, answer.facts, table, answer.table_sha256, _now())
            return
        dataset = queue.lock(session, Dataset, claim)
        if answer is None:
            queue.crash_dataset(session, dataset, process.how_it_ended(), _now())
        else:
            queue.refuse_dataset(session, dataset, answer.code, answer.detail, _now())

    def _pass_on_cancels(self) -> None:
        if not self._trainings:
            return
        with self._database.read() as session:
            cancelled = queue.cancelling(session, self._id)
        for job_id in cancelled:
            if job_id in self._trainings:
                self._trainings[job_id].process.cancel(job_id)

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
            except (OperationalError, InterfaceError) as error:
                logger.warning("the database does not answer (%s); trying again", str(error.orig).strip())
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

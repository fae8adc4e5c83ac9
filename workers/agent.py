"""The agent of a host: claims work, starts a child for each, commits what the children report, and shows that it lives."""

import contextlib
import logging
import math
import os
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from counterweight.contracts.ids import new_id
from counterweight.contracts.messages import Checkpointed, IngestTask
from counterweight.contracts.workers import WorkerSlot
from counterweight.crashpoints import crashpoint
from service.domain.errors import LostClaim
from service.persistence import admission, agents, attempts, changes, checkpoints, comparing, housekeeping, queue, recording
from service.persistence.database import DATABASE_AWAY, Database
from service.persistence.files import Files
from service.persistence.queue import Claim
from service.persistence.tables import Agent as AgentRow
from service.persistence.tables import Job
from workers.backends.backend import Backend
from workers.chores import Chore, Comparing, Reading
from workers.devices import Slot, apart
from workers.processes import Nursery
from workers.pulse import Pulse
from workers.trainings import Training, checkpoint_folder, pack_for, run_ends, task_of

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

DATABASE_RETRY_S = 0.5
STOP_PATIENCE_S = 5.0
"""A cancel and a pause are honoured within 10 s: so long the trainer has to stop by itself."""

DRAIN_S = 12.0
"""A worker ends within 30 s: so long its trainers have to keep their places."""

TIDY_S = 3600.0
LOOK_ANYWAY_S = 2.0
"""Work is looked for this often even when nobody announced any."""


class Agent:
    """Runs until `stop` is called; every write is fenced, so that a late one of a lost agent changes nothing."""

    def __init__(
        self,
        database: Database,
        files: Files,
        backend: Backend,
        slots: list[Slot],
        home_id: str,
        lease_s: float,
        max_cohort: int | None = None,
        checkpoint_s: float = 30.0,
    ) -> None:
        self._database, self._files, self._backend, self._slots, self._home_id = database, files, backend, slots, home_id
        self._lease_s, self._max_cohort, self._checkpoint_s = lease_s, max_cohort, checkpoint_s
        self._nursery = Nursery()
        self._trainings: list[Training] = []
        self._chores: list[Chore[Any]] = []
        self._stop = threading.Event()
        self._wake_out, self._wake_in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._id = ""
        self._blocked_by: str | None = None
        self._should_look = True
        self._look_at = self._tidied_at = -math.inf

    def stop(self) -> None:
        """Ask the agent to give its work back and end; may be called from a signal handler."""
        self._stop.set()
        self._wake()

    def run(self) -> None:
        """Claim, train and record until told to stop."""
        self._backend.warm_up()
        self._patiently(self._take_over_home)
        threading.Thread(target=self._listen, daemon=True, name="changes").start()
        while not self._stop.is_set():
            self._patiently(self._register)
            pulse = Pulse(self._database, self._id, self._lease_s, on_lost=self._wake)
            with pulse:
                while not self._stop.is_set() and not pulse.is_lost:
                    self._turn()
                if not pulse.is_lost:
                    self._drain()
            self._end_children()
            if not pulse.is_lost:
                # If the database is away, whoever watches our beat gives our work back.
                with contextlib.suppress(*DATABASE_AWAY), self._database.write() as session:
                    agents.retire(session, self._id, "drained", _now(), "its worker was told to stop")

    def _turn(self) -> None:
        """Look after the queue when something changed, and now and then anyway; then hear what the children say."""
        if self._should_look or time.monotonic() >= self._look_at:
            self._should_look, self._look_at = False, time.monotonic() + LOOK_ANYWAY_S
            for step in (self._give_back_strays, self._end_overdue, self._claim_what_fits, self._pass_on_stops, self._tidy):
                self._patiently(step)
        children = {one.process.connection: one for one in self._under_way()}
        ready = wait([self._wake_out, *children], timeout=max(0.0, self._look_at - time.monotonic()))
        for one in ready:
            if isinstance(one, Connection):
                self._hear(children[one])
            else:
                self._should_look = True
                os.read(self._wake_out, 4096)

    def _under_way(self) -> list[Training | Chore[Any]]:
        return [*self._trainings, *self._chores]

    def _hear(self, one: Training | Chore[Any]) -> None:
        if isinstance(one, Training):
            self._hear_training(one)
        else:
            self._hear_chore(one)

    def _claim_what_fits(self) -> None:
        # Before anything is claimed: what falls due meanwhile is found to be due, and looked for at once.
        now = _now()
        # LostClaim: others have declared this agent lost; its next beat will tell, and it begins anew.
        with contextlib.suppress(LostClaim):
            under_way = {type(chore) for chore in self._chores}
            if Reading not in under_way and self._slots:
                self._start_reading()
            if Comparing not in under_way and self._slots:
                self._start_comparing()
            while (idle := self._idle()) and self._may_start() and self._start_training(idle):
                pass
            if idle:
                self._look_when_a_job_may_be_tried_again(now)

    def _may_start(self) -> bool:
        """Whether trainers can be started; the record tells what is in the way."""
        blocked_by = self._backend.obstacle()
        if blocked_by != self._blocked_by:
            with self._database.write() as session:
                agents.block(session, self._id, blocked_by)
            self._blocked_by = blocked_by
            logger.warning("%s", "jobs are claimed again" if blocked_by is None else f"{blocked_by}; no job is claimed until that is over")
        return blocked_by is None

    def _look_when_a_job_may_be_tried_again(self, since: datetime) -> None:
        with self._database.read() as session:
            moment = admission.next_retry(session, since)
        if moment is not None:
            self._look_at = min(self._look_at, time.monotonic() + (moment - _now()).total_seconds())

    def _idle(self) -> list[int]:
        busy = {index for training in self._trainings for index in training.slots}
        return [index for index in range(len(self._slots)) if index not in busy]

    def _give_back_strays(self) -> None:
        known = {chore.claim.id for chore in self._chores} | {job_id for training in self._trainings for job_id in training.claims}
        with self._database.read() as session:
            strays = agents.held(session, self._id) - known
        if strays:
            with self._database.write() as session:
                logger.warning("held without knowing, and given back: %s", agents.give_back_strays(session, self._id, known, _now()))

    def _tidy(self) -> None:
        if time.monotonic() - self._tidied_at > TIDY_S:
            self._tidied_at = time.monotonic()
            housekeeping.tidy(self._database, self._files, _now())

    def _start_training(self, idle: list[int]) -> bool:
        """Claim what goes next and start to train it; False where there is nothing for these idle slots."""
        slot, rooms = self._slots[idle[0]], apart(self._slots, idle)
        room = queue.Room(len(rooms), len(apart(self._slots, range(len(self._slots)))))
        with self._database.write() as session:
            pack = pack_for(slot, self._max_cohort)
            cohort = queue.claim_cohort(session, self._id, slot.takes, _now(), pack, len(idle), slot.gpu_memory_bytes, room)
        if cohort is None:
            return False
        crashpoint("claim.committed")
        taken = rooms[: cohort.jobs[0].gpus]
        slots = [self._slots[index] for index in taken]
        process = self._backend.start(task_of(cohort, slots, self._files, self._checkpoint_s), cohort.claims)
        claims, ends_at = {claim.id: claim for claim in cohort.claims}, run_ends(cohort, time.monotonic())
        self._trainings.append(Training(claims, len(claims), taken, process, checkpoint_folder(cohort), ends_at))
        claimed = ", ".join(f"{claim.id} under fence {claim.fence}" for claim in cohort.claims)
        logger.info("training on %s: %s", ", ".join(slot.device for slot in slots), claimed)
        return True

    def _start_reading(self) -> None:
        with self._database.write() as session:
            claimed = queue.claim_dataset(session, self._id)
        if claimed is None:
            return
        claim, source, options = claimed
        folder = self._files.make_attempt_folder(recording.dataset_folder(claim.id), claim.fence)
        task = IngestTask(source=str(self._files.path(source)), folder=str(folder), options=options)
        self._chores.append(Reading(claim, self._nursery.start_reader(task)))
        logger.info("reading %s under fence %s", claim.id, claim.fence)

    def _start_comparing(self) -> None:
        with self._database.write() as session:
            claimed = comparing.claim_study(session, self._id, self._files)
        if claimed is not None:
            claim, task = claimed
            self._chores.append(Comparing(claim, self._nursery.start_comparison(task)))
            logger.info("comparing the arms of %s under fence %s", claim.id, claim.fence)

    def _hear_training(self, training: Training) -> None:
        """Commit what a trainer reports of its members, each under its own claim."""
        heard = training.hear()
        crashpoint("report.heard")
        lost = self._commit(lambda session: training.record(session, heard, _now())) or []
        crashpoint("report.committed")
        for job_id in lost:
            logger.warning("%s is no longer held; its trainer leaves it", job_id)
            training.process.cancel(job_id)
        training.forget({*heard.ended, *lost})
        if heard.ended or any(isinstance(report, Checkpointed) for reports in heard.said.values() for report in reports):
            self._patiently(self._sweep_checkpoints)
        if training.process.has_ended or not training.claims:
            self._end_training(training)

    def _sweep_checkpoints(self) -> None:
        with self._database.write() as session:
            unused = checkpoints.sweep(session)
        self._files.remove(unused)

    def _drain(self) -> None:
        """Let trainers keep their members' places and end; what is heard of them is written as ever."""
        for training in self._trainings:
            training.let_all_go()
        until = time.monotonic() + DRAIN_S
        while self._trainings and (left := until - time.monotonic()) > 0:
            going = {training.process.connection: training for training in self._trainings}
            for ready in wait(list(going), timeout=left):
                assert isinstance(ready, Connection)
                self._hear_training(going[ready])

    def _end_overdue(self) -> None:
        """End jobs that have waited, or run, for as long as their limits allow."""
        with self._database.write() as session:
            attempts.end_overdue_waits(session, _now())
        now = time.monotonic()
        for training in list(self._trainings):
            overdue = [claim for job_id, claim in training.claims.items() if training.ends_at.get(job_id, math.inf) <= now]
            if overdue:
                self._stop_by_force(training, overdue, attempts.overdue)

    def _end_training(self, training: Training) -> None:
        training.process.kill()
        self._trainings.remove(training)
        self._should_look = True

    def _hear_chore(self, chore: Chore[Any]) -> None:
        """Commit what a child has found, or that it died."""
        record = chore.outcome()
        if record is None:
            return
        try:
            self._commit(lambda session: record(session, _now()))
        except LostClaim as lost:
            logger.warning("%s; what its child found is of no more use", lost)
        self._chores.remove(chore)
        chore.process.kill()
        self._should_look = True

    def _pass_on_stops(self) -> None:
        """Tell trainers which members to stop; one that does not in time (it may be deep in an evaluation) is left to finish in vain."""
        if not self._trainings:
            return
        with self._database.read() as session:
            told = queue.told_to_stop(session, self._id)
        for training in list(self._trainings):
            overdue = training.tell_to_stop(told, time.monotonic(), STOP_PATIENCE_S)
            if training.told_to_stop_at:
                crashpoint("cancel.passed_on")
            if overdue:
                self._stop_by_force(training, overdue, attempts.stopped)

    def _stop_by_force(self, training: Training, overdue: list[Claim], end: Callable[[Session, Job, datetime], None]) -> None:
        """End members as `end` does; their trainer is told to leave them, and ended where it has no others."""
        with self._database.write() as session:
            for job in queue.lock_jobs(session, overdue).values():
                end(session, job, _now())
        for claim in overdue:
            training.process.cancel(claim.id)
        training.forget({claim.id for claim in overdue})
        # Where others train on, what it still says of these is not listened to.
        if not training.claims:
            self._end_training(training)

    def _end_children(self) -> None:
        for one in self._under_way():
            one.process.kill()
        self._backend.close()
        self._trainings.clear()
        self._chores.clear()

    def _take_over_home(self) -> None:
        with self._database.write() as session:
            for dead in agents.of_home(session, self._home_id):
                returned = agents.retire(session, dead, "lost", _now(), "its worker had died when another started on its home")
                logger.warning("agent %s of this home had died; back in the queue: %s", dead, returned or "nothing")

    def _register(self) -> None:
        now = _now()
        self._id, self._blocked_by = new_id("agt", now), None
        row = AgentRow(
            id=self._id,
            home_id=self._home_id,
            host=socket.gethostname(),
            devices=[slot.device for slot in self._slots],
            slots=[WorkerSlot.model_validate(slot) for slot in self._slots],
            beat=0,
            beat_at=now,
            started_at=now,
        )
        with self._database.write() as session:
            agents.register(session, row)
        crashpoint("agent.registered")
        rooms = ", ".join(f"{slot.device} ({slot.threads} threads)" for slot in self._slots)
        logger.info("agent %s in process %s trains on %s", self._id, os.getpid(), rooms)

    def _commit(self, write: Callable[[Session], Result]) -> Result | None:
        def attempt() -> Result:
            with self._database.write() as session:
                return write(session)

        return self._patiently(attempt)

    def _patiently(self, step: Callable[[], Result]) -> Result | None:
        """Do a step that needs the database, again and again while the database is away; its writes can be repeated."""
        while True:
            try:
                return step()
            except DATABASE_AWAY as error:
                if self._stop.is_set():
                    return None
                logger.warning("the database does not answer (%s); trying again", str(error).splitlines()[0])
                self._stop.wait(DATABASE_RETRY_S)

    def _listen(self) -> None:
        for changed in changes.watch(self._database, self._stop):
            if changed:
                self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_in, b"!")


def _now() -> datetime:
    return datetime.now(UTC)

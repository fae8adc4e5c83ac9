"""Trainers as jobs of a Ray cluster: the same trainer, whose words come by mail through the API."""

import contextlib
import logging
import shlex
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

from counterweight.contracts.mail import Letter
from counterweight.contracts.messages import TrainerTask
from service.persistence import mail
from service.persistence.database import DATABASE_AWAY, Database
from service.persistence.queue import Claim
from workers.backends import errand
from workers.backends.errand import SILENCE_S, Errand
from workers.backends.ray_jobs import RayAway, RayJobs
from workers.processes import End, TrainerProcess

logger = logging.getLogger(__name__)

POLL_S = 0.25
"""So often the mail is looked through."""

BEATS_PER_LEASE = 6
ANSWERED_FOR_S = 5.0
SUBMIT_S = 60.0
GRACE_S = 3.0
"""So long a job has to end by itself once nobody listens to it."""

DRIVER_CPUS = 0.01
"""What a driver takes whose ranks run elsewhere. Were it nothing, Ray would run it on the cluster's head, whatever that lacks."""

CLOSE_S = 10.0
MOST_READ = 16
"""So many letters are read before they are deleted, all at once."""


class RayBackend:
    """Starts jobs on one Ray cluster; its trainers reach the API at `api_url`, and find the folder of files where we do."""

    def __init__(self, database: Database, cluster: RayJobs, api_url: str, lease_s: float) -> None:
        self._database, self._cluster, self._api_url, self._lease_s = database, cluster, api_url, lease_s
        self._runs: list[RayRun] = []
        self._answers, self._asked_at = False, float("-inf")

    def warm_up(self) -> None:
        """What is warm on the cluster is the cluster's business."""

    def obstacle(self) -> str | None:
        """Return that Ray did not answer, just now or a few seconds ago."""
        if time.monotonic() - self._asked_at > ANSWERED_FOR_S:
            self._answers, self._asked_at = self._cluster.answers(), time.monotonic()
        return None if self._answers else f"the Ray cluster at {self._cluster.address} does not answer"

    def start(self, task: TrainerTask, claims: Sequence[Claim]) -> TrainerProcess:
        ours, theirs = Pipe()
        run = RayRun(self._database, self._cluster, self._api_url, self._lease_s, task, claims, theirs)
        self._runs = [*(one for one in self._runs if one.thread.is_alive()), run]
        run.thread.start()
        return TrainerProcess(run, ours)

    def close(self) -> None:
        deadline = time.monotonic() + CLOSE_S
        for run in self._runs:
            run.thread.join(max(0.0, deadline - time.monotonic()))


class RayRun:
    """One job of the cluster: a thread that carries its mail to and from the agent's pipe, and asks Ray whether it lives."""

    def __init__(
        self,
        database: Database,
        cluster: RayJobs,
        api_url: str,
        lease_s: float,
        task: TrainerTask,
        claims: Sequence[Claim],
        pipe: Connection,
    ) -> None:
        self._database, self._cluster, self._api_url, self._lease_s = database, cluster, api_url, lease_s
        self._task, self._claims, self._pipe = task, claims, pipe
        self._name = f"{claims[0].id}-{claims[0].fence}"
        self._errand = Path(task.members[0].folder) / "errand.json"
        self._channel = ""
        self._read = self._deleted = self._ordered = 0
        self._heard_at = self._answered_at = self._asked_at = time.monotonic()
        self._end: End | None = None
        self._is_unwanted = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True, name=self._name)

    def how_it_ended(self) -> End:
        return self._end or End("it was given up", is_lost=True)

    def kill(self) -> None:
        """Let the job be stopped, without waiting for that: what it still says is not listened to."""
        self._is_unwanted.set()

    def _run(self) -> None:
        try:
            self._begin()
            while self._end is None and not self._is_unwanted.wait(POLL_S):
                self._turn()
        except (BrokenPipeError, ConnectionResetError, EOFError):
            pass  # The agent has closed its end.
        except RayAway as error:
            self._end = End(f"Ray did not take it: {error}", is_lost=True)
        except Exception:
            # The edge of this thread. An agent that hears nothing of it would wait for ever.
            logger.exception("the relay of %s failed", self._name)
            self._end = End("what carries its messages failed; the worker's log tells why", is_lost=True)
        finally:
            self._pipe.close()
            self._clean_up()

    def _begin(self) -> None:
        """Give the attempt its token, and the job to Ray."""
        while not self._is_unwanted.is_set():
            try:
                with self._database.write() as session:
                    token = mail.open_channel(session, self._claims)
                break
            except DATABASE_AWAY:
                self._is_unwanted.wait(POLL_S)
        else:
            return
        self._channel = mail.digest(token)
        given = Errand(task=_as_seen_there(self._task), url=self._api_url, token=token, beat_s=self._lease_s / BEATS_PER_LEASE)
        errand.leave(given, self._errand)
        command = shlex.join(["python", "-P", "-m", "workers.backends.ray_driver", str(self._errand)])
        metadata = {"service": "counterweight", "jobs": str(len(self._claims)), "fence": str(self._claims[0].fence)}
        cpus, gpus = _takes(self._task)
        self._submit(lambda: self._cluster.submit(self._name, command, cpus, gpus, metadata))

    def _submit(self, submit: Callable[[], None]) -> None:
        """Submit until Ray takes the job: a head that is just starting answers before it does."""
        began = time.monotonic()
        while not self._is_unwanted.wait(POLL_S):
            try:
                submit()
            except RayAway as error:
                if time.monotonic() - began >= SUBMIT_S:
                    raise
                logger.warning("Ray does not take %s yet: %s", self._name, error)
            else:
                self._heard_at = self._answered_at = time.monotonic()
                logger.info("Ray has the job %s", self._name)
                return

    def _turn(self) -> None:
        try:
            self._carry_orders()
            self._carry_letters()
        except DATABASE_AWAY as error:
            logger.warning("no mail, the database does not answer: %s", str(error).splitlines()[0])
            # Contact was broken: that nothing was heard meanwhile proves nothing.
            self._heard_at = time.monotonic()
        if self._end is None and time.monotonic() - self._asked_at >= self._lease_s / BEATS_PER_LEASE:
            self._asked_at = time.monotonic()
            self._ask_ray()

    def _carry_orders(self) -> None:
        while self._pipe.poll():
            body = self._pipe.recv_bytes().decode()
            with self._database.write() as session:
                mail.order(session, self._channel, self._ordered + 1, body)
            self._ordered += 1

    def _carry_letters(self) -> None:
        with self._database.read() as session:
            letters = mail.letters(session, self._channel, self._read)
        for number, body in letters:
            letter = Letter.model_validate_json(body)
            for line in letter.lines:
                self._pipe.send_bytes(line.encode())
            if letter.died is not None:
                self._end = End(letter.died)
            self._read, self._heard_at = number, time.monotonic()
        if self._read - self._deleted >= MOST_READ:
            with self._database.write() as session:
                mail.forget(session, self._channel, self._read)
            self._deleted = self._read

    def _ask_ray(self) -> None:
        """Judge whether the job lives: by what Ray says, and by its own letters where Ray says nothing, or what cannot be."""
        try:
            job = self._cluster.find(self._name)
        except RayAway as error:
            silent_s = time.monotonic() - max(self._answered_at, self._heard_at)
            if silent_s >= self._lease_s:
                self._end = End(f"neither Ray nor the trainer was heard of for {silent_s:.0f} s ({error})", is_lost=True)
            return
        now = self._answered_at = time.monotonic()
        if job is None:
            self._end = End("Ray does not know the job any more: its head was started anew", is_lost=True)
        elif job.is_over:
            # What it said at last was kept before it ended.
            self._carry_letters()
            self._end = self._end or End(f"its Ray job ended as {job.status}: {job.message}", is_lost=True)
        elif job.status == "PENDING":
            self._heard_at = now
        elif now - self._heard_at >= SILENCE_S:
            # Ray may call a job running whose process is long gone.
            self._end = End(f"its trainer was not heard of for {SILENCE_S:g} s, though Ray says that it runs", is_lost=True)

    def _clean_up(self) -> None:
        """Leave nothing behind, as far as Ray and the database answer now."""
        with contextlib.suppress(RayAway):
            until = time.monotonic() + GRACE_S
            while (job := self._cluster.find(self._name)) is not None and not job.is_over:
                if time.monotonic() >= until:
                    self._cluster.stop(self._name)
                    break
                time.sleep(POLL_S)
        self._errand.unlink(missing_ok=True)
        with contextlib.suppress(*DATABASE_AWAY), self._database.write() as session:
            mail.close_channel(session, self._channel)


def _as_seen_there(task: TrainerTask) -> TrainerTask:
    """Return the task as it is where Ray shows a process its own GPU and no other; ranks are told theirs by Ray Train."""
    return task if task.device == "cpu" else task.model_copy(update={"device": "cuda:0"})


def _takes(task: TrainerTask) -> tuple[float, int]:
    """Return how many processors and GPUs of a node the driver and what it starts on its own node take."""
    if len(task.rank_devices) > 1:
        # Ray Train asks for what its ranks need.
        return DRIVER_CPUS, 0
    return task.threads, 0 if task.device == "cpu" else 1

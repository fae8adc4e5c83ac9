"""Child processes: started warm, talking JSON over a pipe, and gone when the pipe closes.

A child holds no database handle and no secret. It ends by itself when its agent does.
"""

import contextlib
import logging
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from typing import Protocol, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from counterweight.contracts.messages import TRAINER_MESSAGE, Cancel, ComparisonTask, IngestTask, Leave, TrainerTask
from service.persistence.recording import TrainerReport
from workers import comparison_child, ingest_child
from workers.pipe import LOST

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")

THREADS = {"OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
"""The environment of whatever trains. A thread pool of OpenBLAS would not survive a fork, and its sums hang on how many threads it has.
Other threads that wait for each other sleep: spinning costs a trainer most of its speed as soon as cores are shared."""

LARGEST_MESSAGE_BYTES = 256 * 2**20


@dataclass(frozen=True)
class End:
    """How a child ended: `is_regular`, without an error; `is_lost`, with what it ran on, which says nothing against its work."""

    detail: str
    is_lost: bool = False
    is_regular: bool = False


class Body(Protocol):
    """What a child lives in."""

    def how_it_ended(self) -> End:
        """Say why the pipe ended. A child that closed it but lives on is not waited for."""

    def kill(self) -> None:
        """End the child and whatever it started."""


class HostProcess:
    """A process of this host as a child's body."""

    def __init__(self, process: BaseProcess) -> None:
        self._process = process

    def how_it_ended(self) -> End:
        self._process.join(timeout=2)
        code = self._process.exitcode
        if code is not None and code < 0:
            return End(f"its process was killed by signal {-code} ({signal.Signals(-code).name})")
        return End(f"its process ended with exit code {code}", is_lost=code == LOST, is_regular=code == 0)

    def kill(self) -> None:
        """End it, and wait until it is gone."""
        assert self._process.pid is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.join()
        self._process.close()


class Child:
    """A running child. Its pipe is readable when it has said something, and when it has ended."""

    def __init__(self, body: Body, connection: Connection) -> None:
        self._body, self.connection = body, connection
        self.has_ended = False
        """Whether the end of the pipe was read: nothing more will come."""

    def said(self, limit: int = 256) -> Iterator[bytes]:
        """Yield what the child has sent and was not read yet, without waiting for more."""
        try:
            for _ in range(limit):
                if not self.connection.poll():
                    return
                yield self.connection.recv_bytes(LARGEST_MESSAGE_BYTES)
        except (EOFError, OSError):
            self.has_ended = True

    def answer(self, kind: TypeAdapter[Answer]) -> Answer | None:
        """Read its one answer, None before that; a child that says something else is treated as ended."""
        try:
            return next((kind.validate_json(said) for said in self.said(limit=1)), None)
        except ValidationError:
            logger.exception("a child sent something that is no answer")
            self.has_ended = True
            return None

    def send(self, message: bytes) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send_bytes(message)

    def how_it_ended(self) -> End:
        return self._body.how_it_ended()

    def kill(self) -> None:
        self._body.kill()
        self.connection.close()


class TrainerProcess(Child):
    """A trainer: one cohort of jobs."""

    def reports(self) -> list[TrainerReport]:
        """Read what it has said; a trainer that says something else is treated as ended."""
        try:
            return [TRAINER_MESSAGE.validate_json(said) for said in self.said()]
        except ValidationError:
            logger.exception("a trainer sent something that is no message")
            self.has_ended = True
            return []

    def cancel(self, job_id: str) -> None:
        self.send(Cancel(job_id=job_id).model_dump_json().encode())

    def let_go(self, job_id: str) -> None:
        """Ask it to keep a member's place and leave it."""
        self.send(Leave(job_id=job_id).model_dump_json().encode())


class Nursery:
    """Starts children from nothing."""

    def __init__(self) -> None:
        for name, value in THREADS.items():
            os.environ.setdefault(name, value)
        self._afresh = multiprocessing.get_context("spawn")
        self._forked = multiprocessing.get_context("forkserver")

    def start_trainer(self, task: TrainerTask, main: Callable[[Connection, str], None]) -> TrainerProcess:
        """Start a trainer that nobody has warmed up."""
        return TrainerProcess(*self._start(self._afresh, main, task))

    def start_reader(self, task: IngestTask) -> Child:
        return Child(*self._start(self._afresh, ingest_child.main, task))

    def start_comparison(self, task: ComparisonTask) -> Child:
        """Start it from the server that trainers were forked from, where there is one: somebody waits for the verdict."""
        return Child(*self._start(self._forked, comparison_child.main, task))

    def _start(
        self, context: SpawnContext | ForkServerContext, main: Callable[[Connection, str], None], task: BaseModel
    ) -> tuple[HostProcess, Connection]:
        ours, theirs = context.Pipe()
        process = context.Process(target=main, args=(theirs, task.model_dump_json()), daemon=False)
        process.start()
        theirs.close()
        return HostProcess(process), ours

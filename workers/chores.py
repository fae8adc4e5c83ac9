"""Work that ends with one answer of its child: a file that is read, a study whose arms are compared."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import datetime
from typing import ClassVar, Generic, TypeVar

from pydantic import TypeAdapter
from sqlalchemy.orm import Session

from counterweight.contracts.messages import COMPARISON_MESSAGE, INGEST_MESSAGE, Compared, ComparisonRefused, Ingested, IngestRefused
from service.persistence import comparing, queue, recording
from service.persistence.queue import Claim
from service.persistence.tables import Dataset, Study
from workers.processes import Child

Answer = TypeVar("Answer")


class Chore(ABC, Generic[Answer]):
    """What is claimed, and the child that is at it."""

    answers: ClassVar[TypeAdapter[Answer]]

    def __init__(self, claim: Claim, process: Child) -> None:
        self.claim, self.process = claim, process

    def outcome(self) -> Callable[[Session, datetime], None] | None:
        """Return what is to be written of its end, once the child has answered or died; LostClaim comes of it when it is too late."""
        answer = self.process.answer(self.answers)
        if answer is not None:
            return lambda session, now: self._record(session, answer, now)
        if self.process.has_ended:
            crash = self.process.how_it_ended().detail
            return lambda session, now: self._record_crash(session, crash, now)
        return None

    @abstractmethod
    def _record(self, session: Session, answer: Answer, now: datetime) -> None: ...

    @abstractmethod
    def _record_crash(self, session: Session, crash: str, now: datetime) -> None: ...


class Reading(Chore[Ingested | IngestRefused]):
    """A file being read."""

    answers = INGEST_MESSAGE

    def _record(self, session: Session, answer: Ingested | IngestRefused, now: datetime) -> None:
        if isinstance(answer, Ingested):
            table = f"{recording.dataset_folder(self.claim.id)}/{self.claim.fence}/{answer.table}"
            recording.record_dataset(session, self.claim, answer.facts, table, answer.table_sha256, now)
        else:
            queue.refuse_dataset(session, queue.lock(session, Dataset, self.claim), answer.code, answer.detail, now)

    def _record_crash(self, session: Session, crash: str, now: datetime) -> None:
        queue.crash_dataset(session, queue.lock(session, Dataset, self.claim), crash, now)


class Comparing(Chore[Compared | ComparisonRefused]):
    """The arms of a study being compared."""

    answers = COMPARISON_MESSAGE

    def _record(self, session: Session, answer: Compared | ComparisonRefused, now: datetime) -> None:
        if isinstance(answer, Compared):
            comparing.record(session, self.claim, answer.results, now)
        else:
            comparing.refuse(session, queue.lock(session, Study, self.claim), answer.detail, now)

    def _record_crash(self, session: Session, crash: str, now: datetime) -> None:
        comparing.crash(session, queue.lock(session, Study, self.claim), crash, now)

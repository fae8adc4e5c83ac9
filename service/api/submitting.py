"""Submissions of jobs: those that wait at the same moment share one transaction, and each is answered or refused by itself."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from counterweight.contracts.datasets import TableFacts
from counterweight.contracts.ids import new_id
from counterweight.contracts.jobs import JobSpec, JobView
from service.api.answers import answer
from service.api.transactions import transaction
from service.domain import submission
from service.domain.canonical import digest
from service.domain.errors import ServiceError
from service.domain.submission import DatasetChoices
from service.persistence import idempotency, jobs, recipes
from service.persistence.database import DATABASE_AWAY, Database
from service.persistence.idempotency import Answer
from service.persistence.jobs import NewJob
from service.persistence.tables import Dataset

MOST_TOGETHER = 64


@dataclass(frozen=True)
class Submission:
    """A job that somebody asked for at some moment, under an idempotency key if they gave one."""

    project_id: str
    spec: JobSpec
    key: str | None
    traceparent: str | None
    created_by: str | None
    moment: datetime

    @property
    def fingerprint(self) -> str:
        return digest(["POST /jobs", self.spec.model_dump(mode="json")])


Outcome = Answer | Exception


class Submissions:
    """Makes the jobs that are asked for in this process. For its event loop alone, but for the making itself.

    While some are made, those that come meanwhile wait, and are the next: the more there are, the less each costs. What is answered
    has been committed.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[tuple[Submission, asyncio.Future[Outcome]]] = []
        self._worker: asyncio.Task[None] | None = None

    async def make(self, asked: Submission) -> Answer:
        """Return what to answer, once the job is on the disk; raise what stands against it."""
        outcome = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, outcome))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        found: Outcome = await outcome
        if isinstance(found, Exception):
            raise found
        return found

    async def _work(self) -> None:
        try:
            while self._waiting:
                these, self._waiting = self._waiting[:MOST_TOGETHER], self._waiting[MOST_TOGETHER:]
                found = await run_in_threadpool(self._make_all, [asked for asked, _ in these])
                for (_, outcome), one in zip(these, found, strict=True):
                    if not outcome.done():  # Its client may have gone.
                        outcome.set_result(one)
        finally:
            self._worker = None

    def _make_all(self, asked: Sequence[Submission]) -> Sequence[Outcome]:
        try:
            with transaction(self._database) as session:
                return _submit(session, asked)
        except DATABASE_AWAY as error:
            return [error] * len(asked)
        except Exception as error:
            # Whatever one of them did, it is not to undo the others: each has a transaction of its own then.
            return [error] if len(asked) == 1 else [self._make_all([one])[0] for one in asked]


def _submit(session: Session, asked: Sequence[Submission]) -> list[Answer | ServiceError]:
    @cache
    def ingredients(project_id: str, dataset_id: str, test_dataset_id: str | None) -> tuple[Dataset, TableFacts, DatasetChoices]:
        return recipes.ingredients(session, project_id, dataset_id, test_dataset_id)

    def begin(one: Submission) -> NewJob | Answer | ServiceError:
        try:
            before = None if one.key is None else idempotency.find(session, one.project_id, one.key, one.fingerprint)
            if before is not None:
                return before
            dataset, facts, choices = ingredients(one.project_id, one.spec.dataset_id, one.spec.test_dataset_id)
            settled, loss = submission.settle(one.spec, facts, choices)
        except ServiceError as refusal:
            return refusal
        return NewJob(new_id("job", one.moment), dataset, settled, loss, one.traceparent, one.created_by, one.moment)

    def end(one: Submission, view: JobView) -> Answer:
        made = answer(201, view, f"/api/v1/jobs/{view.id}")
        if one.key is not None:
            idempotency.keep(session, one.project_id, one.key, one.fingerprint, made, one.moment)
        return made

    begun = [begin(one) for one in asked]
    made = jobs.add_all(session, [new for new in begun if isinstance(new, NewJob)])
    views = iter(jobs.views(session, made, max(one.moment for one in asked)))
    return [end(one, next(views)) if isinstance(new, NewJob) else new for one, new in zip(asked, begun, strict=True)]

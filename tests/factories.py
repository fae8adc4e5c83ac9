"""Rows of the record for tests: each names only what the test is about."""

import itertools
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from counterweight.contracts.datasets import ClassShare, Column, DatasetOptions, DatasetState
from counterweight.contracts.ids import new_id
from counterweight.contracts.jobs import JobState, ResolvedSpec
from counterweight.contracts.loss_resolution import resolve_loss
from counterweight.contracts.problems import Problem, problem_type
from counterweight.contracts.splits import Part
from counterweight.contracts.studies import StudySpec
from counterweight.contracts.terms import ClassCounts
from counterweight.contracts.workers import WorkerSlot
from service.domain import lifecycle
from service.domain import studies as domain_studies
from service.domain.cohorts import cohort_key
from service.domain.submission import DatasetChoices
from service.persistence import datasets, events, studies
from service.persistence.admission import place_in_line
from service.persistence.tables import DEFAULT_PROJECT, Agent, Attempt, Dataset, Job, MetricPoint, Project, Study

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_seconds = itertools.count()


def next_moment() -> datetime:
    """A second later than the time before, so that rows sort in the order they were made."""
    return START + timedelta(seconds=next(_seconds))


def make_project(session: Session, name: str = "other") -> Project:
    moment = next_moment()
    project = Project(id=new_id("prj", moment), name=name, created_at=moment)
    session.add(project)
    session.flush()
    return project


def make_agent(
    session: Session, *, beat_at: datetime | None = None, slots: Sequence[WorkerSlot] = (WorkerSlot(device="cpu", threads=1),)
) -> Agent:
    moment = next_moment()
    agent = Agent(
        id=new_id("agt", moment),
        home_id="home",
        host="host",
        devices=[slot.device for slot in slots],
        slots=list(slots),
        beat=1,
        beat_at=beat_at or moment,
        started_at=moment,
    )
    session.add(agent)
    session.flush()
    return agent


def make_dataset(
    session: Session,
    *,
    state: DatasetState = "ready",
    name: str = "credit.csv",
    classes: Mapping[str, int] | None = None,
    columns: Mapping[str, str] | None = None,
    target: str | None = "label",
    positive_label: str | None = "bad",
    part_classes: Mapping[str, Mapping[Part, Mapping[str, int]]] | None = None,
    options: DatasetOptions | None = None,
    project_id: str = DEFAULT_PROJECT,
    now: datetime | None = None,
) -> Dataset:
    """A dataset; ready with 900 good and 100 bad rows unless told otherwise."""
    moment = now or next_moment()
    counts = {"good": 900, "bad": 100} if classes is None else classes
    types = {"age": "numeric", "city": "categorical", "label": "categorical"} if columns is None else columns
    total, is_ready = sum(counts.values()), state == "ready"
    options = options or DatasetOptions(target=target)
    dataset_id = new_id("ds", moment)
    dataset = Dataset(
        id=dataset_id,
        project_id=project_id,
        name=name,
        labels={},
        state=state,
        sha256=secrets.token_hex(32),
        bytes=1234,
        source_path=datasets.source_path(dataset_id),
        options=options,
        options_sha256=datasets.options_digest(options),
        format="csv" if is_ready else None,
        kind="tabular" if is_ready else None,
        rows=total if is_ready else None,
        columns=[Column.model_validate({"name": key, "type": value, "missing": 0, "distinct": 2}) for key, value in types.items()]
        if is_ready
        else [],
        target=target if is_ready else None,
        positive_label=positive_label if is_ready and positive_label in counts else None,
        classes=[ClassShare(label=label, count=count, fraction=count / total) for label, count in counts.items()] if is_ready else [],
        part_classes=part_classes or {},
        notes=[],
        created_at=moment,
    )
    if state == "failed":
        dataset.error = Problem(
            type=problem_type("csv_ragged"),
            title="The file cannot be read",
            status=422,
            code="csv_ragged",
            detail="line 3 has 2 cells, not 5",
        )
    session.add(dataset)
    session.flush()
    events.log_new_dataset(session, dataset, moment)
    return dataset


def make_job(
    session: Session,
    dataset: Dataset | None = None,
    *,
    state: JobState = "queued",
    name: str = "job",
    labels: dict[str, str] | None = None,
    priority: int = 50,
    loss: Mapping[str, Any] | None = None,
    agent: Agent | None = None,
    now: datetime | None = None,
    **spec: Any,
) -> Job:
    """A job, moved to `state` as the lifecycle allows; held ones have an agent and an attempt."""
    moment = now or next_moment()
    dataset = dataset or make_dataset(session)
    settled = ResolvedSpec.model_validate(
        {
            "name": name,
            "dataset_id": dataset.id,
            "target": dataset.target or "label",
            "learner": {"kind": "mlp"},
            "labels": labels or {},
            "priority": priority,
            "loss": loss or {"kind": "cross_entropy"},
            **spec,
        }
    )
    shares = dataset.classes or [ClassShare(label="good", count=9, fraction=0.9), ClassShare(label="bad", count=1, fraction=0.1)]
    job = Job(
        id=new_id("job", moment),
        project_id=dataset.project_id,
        dataset=dataset,
        test_dataset_id=settled.test_dataset_id,
        name=name,
        labels=settled.labels,
        spec=settled,
        loss=resolve_loss(settled.loss, ClassCounts(tuple(share.label for share in shares), tuple(share.count for share in shares), 1)),
        loss_kind=settled.loss.kind,
        loss_gamma=getattr(settled.loss, "gamma", None),
        learner_kind=settled.learner.kind,
        cohort_key=cohort_key(settled),
        state="queued",
        phase="waiting",
        created_at=moment,
        queued_at=moment,
        **place_in_line(settled, moment),
    )
    session.add(job)
    session.flush()
    events.log_new_jobs(session, [job])
    for step in _way_to(state):
        _move(session, job, step, agent)
    session.flush()
    return job


def make_study(
    session: Session,
    dataset: Dataset | None = None,
    *,
    losses: Sequence[Mapping[str, Any]] = ({"kind": "cross_entropy"}, {"kind": "focal"}),
    seeds: Sequence[int] = (0, 1),
    **spec: Any,
) -> Study:
    """A study of queued jobs, made as the service makes it."""
    moment = next_moment()
    dataset = dataset or make_dataset(session)
    body = {"base": {"dataset_id": dataset.id}, "losses": list(losses), "seeds": list(seeds), **spec}
    plan = domain_studies.settle(StudySpec.model_validate(body), datasets.facts(dataset), DatasetChoices.of(dataset.name, dataset.options))
    return studies.add(session, new_id("stu", moment), dataset, plan, traceparent=None, created_by=None, now=moment)


def end_jobs(session: Session, study: Study, states: Sequence[JobState]) -> list[Job]:
    """End the study's queued jobs, the first ones first, each in the state given for it; `running` leaves it so."""
    queued = select(Job).where(Job.study_id == study.id, Job.state == "queued").order_by(Job.id)
    jobs = list(session.scalars(queued.limit(len(states))))
    for job, state in zip(jobs, states, strict=True):
        for step in _way_to(state):
            _move(session, job, step, None)
    return jobs


def add_points(session: Session, job: Job, series: str, values: Sequence[float]) -> None:
    """Record one value an epoch, ten optimiser steps apart."""
    session.add_all(
        MetricPoint(job_id=job.id, series=series, step=10 * epoch, epoch=epoch, time=1000.0 + epoch, value=value)
        for epoch, value in enumerate(values, start=1)
    )
    session.flush()


def _way_to(state: JobState) -> list[JobState]:
    ways: dict[JobState, list[JobState]] = {
        "queued": [],
        "running": ["running"],
        "cancelling": ["running", "cancelling"],
        "succeeded": ["running", "succeeded"],
        "failed": ["running", "failed"],
        "cancelled": ["cancelled"],
    }
    return ways[state]


def _move(session: Session, job: Job, state: JobState, agent: Agent | None) -> None:
    moment = next_moment()
    if state == "running":
        holder = agent or make_agent(session)
        job.agent_id, job.fence = holder.id, job.fence + 1
        session.add(Attempt(job_id=job.id, number=1, fence=job.fence, agent_id=holder.id, started_at=moment))
    elif lifecycle.is_terminal(state) and job.agent_id is not None:
        session.query(Attempt).filter_by(job_id=job.id).update({"ended_at": moment, "outcome": state})
    events.move_job(session, job, state, state, moment)

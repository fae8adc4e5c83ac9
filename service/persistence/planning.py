"""What would become of a job if it were queued now."""

import statistics
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from counterweight.contracts.jobs import DatasetRef, JobPlan, MemoryEstimate, ResolvedSpec, TimeEstimate
from counterweight.contracts.loss_resolution import ResolvedLoss
from counterweight.contracts.studies import StudyPlan
from service.domain import estimates, studies
from service.domain.studies import Plan
from service.persistence import datasets, line
from service.persistence.tables import Dataset, Job

REMEMBERED = 20
"""So many of the latest jobs tell how fast the next will be."""


def plan(session: Session, dataset: Dataset, spec: ResolvedSpec, loss: ResolvedLoss, now: datetime) -> JobPlan:
    facts = datasets.facts(dataset)
    memory = estimates.memory(spec, facts)
    return JobPlan(
        spec=spec,
        loss=loss,
        dataset=DatasetRef.model_validate(dataset),
        memory=MemoryEstimate(bytes=memory.bytes, basis=memory.basis),
        time=_time(session, dataset, spec, estimates.rows_an_epoch(spec, facts)),
        queue=line.place_of_new(session, dataset.project_id, spec, now),
    )


def plan_study(session: Session, dataset: Dataset, study: Plan, now: datetime) -> StudyPlan:
    """Return what the study's largest job may need, and the time of all as if each were that one."""
    facts = datasets.facts(dataset)
    first_runs = [run for run in study.runs if run.place == 0]
    largest = max(first_runs, key=lambda run: estimates.memory(run.spec, facts).bytes)
    alike = plan(session, dataset, largest.spec, largest.loss, now)
    one_s = alike.time.at_most_s
    return StudyPlan(
        name=study.name,
        spec=study.spec,
        metric=study.metric,
        goal=studies.goal_of(study.metric),
        notes=study.notes,
        arms=study.arms,
        jobs=len(study.runs),
        dataset=alike.dataset,
        memory=alike.memory,
        time=alike.time.model_copy(update={"at_most_s": None if one_s is None else one_s * len(study.runs)}),
        queue=alike.queue,
    )


def _time(session: Session, dataset: Dataset, spec: ResolvedSpec, rows: int) -> TimeEstimate:
    kind = spec.learner.kind
    before = select(Job.progress).where(Job.project_id == dataset.project_id, Job.state == "succeeded", Job.learner_kind == kind)
    for where, query in (("on this dataset", before.where(Job.dataset_id == dataset.id)), ("of this project", before)):
        seen = session.scalars(query.order_by(Job.id.desc()).limit(REMEMBERED))
        rates = [progress.rows_per_s for progress in seen if progress is not None and progress.rows_per_s]
        if rates:
            rate = statistics.median(rates)
            basis = (
                f"the median of the last {len(rates)} {kind} jobs {where}, times {rows:,} rows an epoch and {spec.training.max_epochs:,} "
                "epochs; early stopping may end it sooner, and loading and evaluating come on top"
            )
            return TimeEstimate(at_most_s=rows * spec.training.max_epochs / rate, rows_per_s=rate, basis=basis)
    return TimeEstimate(at_most_s=None, rows_per_s=None, basis=f"unknown: no {kind} job of this project has succeeded yet")

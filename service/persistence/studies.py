"""Studies in the record: making them, finding them, and showing them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, defer, joinedload, load_only

from counterweight.contracts.ids import is_id, new_id
from counterweight.contracts.jobs import Action, DatasetRef, JobState
from counterweight.contracts.studies import StudyAction, StudyPatch, StudyResults, StudySummary, StudyView
from service.domain import lifecycle, studies
from service.domain.editing import merged_labels
from service.domain.errors import NotFound, WrongState
from service.domain.studies import Plan, Run
from service.domain.versions import ANY, Expected
from service.persistence import events, inserting, study_progress
from service.persistence.jobs import columns_of
from service.persistence.standings import standings
from service.persistence.tables import Dataset, Job, Study

_PAGE = (defer(Study.spec), defer(Study.arms), defer(Study.notes))
"""What a list does not show, and would take long to read."""


def add(
    session: Session, study_id: str, dataset: Dataset, plan: Plan, *, traceparent: str | None, created_by: str | None, now: datetime
) -> Study:
    """Record a study and queue its jobs, all in a few statements."""
    study = Study(
        id=study_id,
        project_id=dataset.project_id,
        dataset=dataset,
        name=plan.name,
        labels=plan.spec.labels,
        spec=plan.spec,
        metric=plan.metric,
        notes=plan.notes,
        arms=plan.arms,
        arm_count=len(plan.arms),
        job_count=len(plan.runs),
        state="running",
        created_at=now,
        created_by=created_by,
    )
    session.add(study)
    session.flush()
    made = {"project_id": dataset.project_id, "study_id": study_id, "traceparent": traceparent, "created_by": created_by}
    ids = sorted(new_id("job", now) for _ in plan.runs)
    jobs = [{**made, **_columns(run, job_id, now)} for job_id, run in zip(ids, _by_place(plan.runs), strict=True)]
    inserting.add_rows(session, Job, jobs)
    events.log_new_study(session, study, jobs, now)
    session.flush()
    return study


def get(session: Session, project_id: str, study_id: str) -> Study:
    """Return a study; NotFound when there is none of this id in the project."""
    return _one(session, _of_project(project_id), study_id)


def hold(session: Session, project_id: str, study_id: str, expected: Expected = ANY) -> Study:
    """Return a study to be changed, locked; NotFound when there is none, StaleVersion when it is not of an expected version."""
    study = _one(session, _of_project(project_id).with_for_update(of=Study), study_id)
    expected.check(study.version)
    return study


def page(session: Session, project_id: str, before: str | None, limit: int) -> list[Study]:
    """Return up to `limit` studies, newest first, of those made before the study `before`."""
    query = _of_project(project_id).options(*_PAGE).order_by(Study.id.desc()).limit(limit)
    return list(session.scalars(query if before is None else query.where(Study.id < before)))


def edit(session: Session, study: Study, patch: StudyPatch, now: datetime) -> None:
    """Change a study's name or labels; its jobs keep theirs."""
    after: dict[str, object] = {"name": patch.name} if "name" in patch.model_fields_set else {}
    if "labels" in patch.model_fields_set:
        after["labels"] = merged_labels(study.labels, patch.labels)
    changed = {field: value for field, value in after.items() if value != getattr(study, field)}
    if changed:
        for field, value in changed.items():
            setattr(study, field, value)
        events.note_edit(session, study, sorted(changed), now)


def cancel(session: Session, project_id: str, study_id: str, now: datetime) -> Study:
    """End the jobs at once that no worker has, and ask the workers of the others to stop; WrongState where there is nothing to cancel."""
    study, jobs = _hold_for(session, project_id, study_id, "cancel")
    study.state, study.cancelled_at, study.state_reason = "running", now, "cancelled by its owner"
    events.note_study(session, study, "cancelled by its owner", now)
    _move_jobs(session, jobs, "cancel", "its study was cancelled by its owner", now)
    if not jobs:
        study.fence += 1
        events.move_study(session, study, "cancelled", "cancelled by its owner", now)
    return study


def pause(session: Session, project_id: str, study_id: str, now: datetime) -> Study:
    """Pause all jobs that go on; WrongState where none does."""
    study, jobs = _hold_for(session, project_id, study_id, "pause")
    events.turn_study(session, study, "paused", "paused by its owner", now)
    _move_jobs(session, jobs, "pause", "its study was paused by its owner", now)
    return study


def resume(session: Session, project_id: str, study_id: str, now: datetime) -> Study:
    """Put all paused jobs back in their places in the queue; WrongState for a study that is not paused."""
    study, jobs = _hold_for(session, project_id, study_id, "resume")
    events.turn_study(session, study, "running", "resumed by its owner", now)
    _move_jobs(session, jobs, "resume", "its study was resumed by its owner", now)
    return study


def _hold_for(session: Session, project_id: str, study_id: str, action: StudyAction) -> tuple[Study, list[Job]]:
    """Return a study that allows this, and its jobs that go on, all locked."""
    # The jobs first, then the study: in the order in which a worker that ends a job holds them.
    going_on = Job.study_id == study_id, Job.project_id == project_id, Job.state.in_(study_progress.GOING_ON)
    plain = load_only(Job.id, Job.project_id, Job.study_id, Job.version, Job.state, Job.queued_at, Job.queued_s, Job.started_at, Job.spec)
    jobs = list(session.scalars(select(Job).where(*going_on).order_by(Job.id).options(plain).with_for_update()))
    study = hold(session, project_id, study_id)
    require(action, study, study_progress.counts(session, [study_id])[study_id])
    return study, jobs


def _move_jobs(session: Session, jobs: Sequence[Job], action: Action, reason: str, now: datetime) -> None:
    """Move the jobs as this action does, as far as their states allow it."""
    moves = lifecycle.AT_ONCE[action]
    # By the states before, all at once: what is moved first is not moved again.
    found = {before: [job for job in jobs if job.state == before] for before in moves}
    for before, after in moves.items():
        events.move_jobs(session, found[before], after, reason, now)


def retry(session: Session, project_id: str, study_id: str, now: datetime) -> Study:
    """Train anew what failed or was cancelled, each job under a new id in the old one's place, and compare again.

    The old jobs leave the study; `retry_of` of the new ones tells of them. WrongState where there is nothing to do better.
    """
    study = hold(session, project_id, study_id)
    require("retry", study, study.counts or study_progress.counts(session, [study_id])[study_id])
    old = list(session.scalars(select(Job).where(Job.study_id == study_id, Job.state.in_(studies.RETRIED)).order_by(Job.id)))
    ids = sorted(new_id("job", now) for _ in old)
    jobs = [_again(job, job_id, now) for job, job_id in zip(old, ids, strict=True)]
    for job in old:
        job.study_id = None
    if jobs:
        session.flush()
        inserting.add_rows(session, Job, jobs)
        study.trained_at = None
    study.state, study.state_reason, study.error, study.results, study.counts = "running", None, None, None, None
    study.cancelled_at = study.finished_at = None
    study.crashes, study.fence = 0, study.fence + 1
    events.note_retry(session, study, jobs, now)
    session.flush()
    return study


def require(action: StudyAction, study: Study, counts: Mapping[JobState, int]) -> None:
    """Return when the study, whose jobs are in these states, allows `action`; WrongState, with what it does allow, otherwise."""
    is_cancelling = study.cancelled_at is not None
    allowed = studies.allowed_actions(study.state, is_cancelling, counts)
    if action not in allowed:
        how = f"{study.state} and being cancelled" if is_cancelling and study.state not in studies.TERMINAL else study.state
        raise WrongState(f"study {study.id} is {how}; `{action}` is not possible now", allowed)


def summaries(session: Session, found: Sequence[Study]) -> list[StudySummary]:
    """Return studies as a list shows them, in a number of queries that does not grow with it."""
    live = study_progress.counts(session, [study.id for study in found if study.counts is None])
    return [StudySummary(**_summary(study, study.counts or live.get(study.id, {}))) for study in found]


def view(session: Session, study: Study) -> StudyView:
    """Return a study as the service answers it: with what its comparison found, or until then with the means so far."""
    counts = study.counts if study.counts is not None else study_progress.counts(session, [study.id])[study.id]
    results = study.results or StudyResults(leaderboard=standings(session, study), comparisons=[], verdict=None)
    return StudyView(
        **_summary(study, counts),
        spec=study.spec,
        notes=study.notes,
        leaderboard=results.leaderboard,
        comparisons=results.comparisons,
    )


def _summary(study: Study, counts: dict[Any, int]) -> dict[str, Any]:
    path = f"/api/v1/studies/{study.id}"
    is_terminal = study.state in studies.TERMINAL
    return {
        "id": study.id,
        "version": study.version,
        "name": study.name,
        "labels": study.labels,
        "project": study.project_id,
        "dataset": DatasetRef.model_validate(study.dataset),
        "state": study.state,
        "phase": "over" if is_terminal else "training" if study.trained_at is None else "comparing",
        "state_reason": study.state_reason,
        "is_terminal": is_terminal,
        "allowed_actions": studies.allowed_actions(study.state, study.cancelled_at is not None, counts),
        "counts": counts,
        "arms": study.arm_count,
        "jobs": study.job_count,
        "metric": study.metric,
        "goal": studies.goal_of(study.metric),
        "verdict": None if study.results is None else study.results.verdict,
        "error": study.error,
        "created_at": study.created_at,
        "finished_at": study.finished_at,
        "links": {
            "self": path,
            "events": f"{path}/events",
            "dataset": f"/api/v1/datasets/{study.dataset_id}",
            "jobs": f'/api/v1/jobs?filter=study_id="{study.id}"',
        },
    }


def _by_place(runs: Sequence[Run]) -> list[Run]:
    """Every arm's first run, then every arm's second: so that something can be compared early."""
    return sorted(runs, key=lambda run: (run.place, run.arm))


def _columns(run: Run, job_id: str, now: datetime) -> dict[str, Any]:
    return {"study_arm": run.arm, "study_place": run.place, **columns_of(job_id, run.spec, run.loss, now)}


def _again(job: Job, job_id: str, now: datetime) -> dict[str, Any]:
    """Return the columns of a job that takes another's place: with the same spec, so with the same seed and split."""
    run = Run(job.study_arm or 0, job.study_place or 0, job.spec, job.loss)
    kept = {"project_id": job.project_id, "study_id": job.study_id, "traceparent": job.traceparent, "created_by": job.created_by}
    return {**kept, **_columns(run, job_id, now), "retry_of": job.id}


def _of_project(project_id: str) -> Select[Study]:
    shown = load_only(Dataset.id, Dataset.sha256, Dataset.positive_label, Dataset.classes)
    return select(Study).where(Study.project_id == project_id).options(joinedload(Study.dataset).options(shown))


def _one(session: Session, query: Select[Study], study_id: str) -> Study:
    study = session.scalar(query.where(Study.id == study_id)) if is_id("stu", study_id) else None
    if study is None:
        raise NotFound(f"there is no study {study_id!r} in this project")
    return study

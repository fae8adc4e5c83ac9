"""The event log: every change of state, written in the transaction that makes it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from counterweight.contracts.datasets import DatasetState
from counterweight.contracts.jobs import JobState, Phase
from counterweight.contracts.studies import StudyState
from service.domain import lifecycle
from service.domain.admission import pending_until
from service.persistence import event_log, study_progress
from service.persistence.tables import Dataset, Event, Job, Study


def move_job(session: Session, job: Job, state: JobState, reason: str, now: datetime) -> None:
    """Change a job's state as the lifecycle allows, keep the account of its time, and log it; tell its study when it has ended."""
    move_jobs(session, [job], state, reason, now)


def move_jobs(session: Session, jobs: Sequence[Job], state: JobState, reason: str, now: datetime) -> None:
    """Change the state of several jobs, and tell each study that some of them belong to once."""
    if not jobs:
        return
    moved = {"at": now, "kind": "job", "to_state": state, "reason": reason}
    before = {job.id: _move(job, state, reason, now) for job in jobs}
    event_log.append(session, [moved | {"project_id": job.project_id, "subject": job.id, "from_state": before[job.id]} for job in jobs])
    if lifecycle.is_terminal(state):
        for study_id in sorted({job.study_id for job in jobs if job.study_id is not None}):
            step = study_progress.count_end(session, study_id, now)
            if step is not None:
                _log(session, step.study.project_id, study_id, "study", step.before, step.study.state, step.reason, now)


def _move(job: Job, state: JobState, reason: str, now: datetime) -> JobState:
    """Change the job; return the state it was in."""
    before = job.state
    if not lifecycle.allows(before, state):
        raise ValueError(f"a job cannot go from {before} to {state}")
    since = job.queued_at if before == "queued" else job.started_at
    if since is not None and before != "paused" and state not in ("pausing", "cancelling"):
        elapsed = max(0.0, (now - since).total_seconds())
        if before == "queued":
            job.queued_s += elapsed
        else:
            job.run_s += elapsed
            if job.resolved is not None and job.resolved.device.startswith("cuda"):
                job.gpu_s += elapsed * job.resolved.ranks / job.resolved.cohort_size
    job.state, job.state_reason = state, reason
    job.version += 1
    if state in ("queued", "paused"):
        job.phase, job.cohort_id, job.pending_until = "waiting", None, None
    if state == "queued":
        job.queued_at, job.pending_until = now, pending_until(job.spec.limits, now)
    elif state == "running":
        job.started_at, job.phase = now, "loading"
    if state not in lifecycle.HELD:
        job.agent_id = None
    if lifecycle.is_terminal(state):
        job.finished_at = now
        job.checkpoint_id = job.fallback_id = None
    return before


def enter_phase(session: Session, job: Job, phase: Phase, now: datetime) -> None:
    """Note what a running job is doing now."""
    before, job.phase = job.phase, phase
    job.version += 1
    _log(session, job.project_id, job.id, "phase", before, phase, "entered", now)


def log_new_jobs(session: Session, jobs: Sequence[Job]) -> None:
    added = {"kind": "job", "from_state": None, "reason": "submitted"}
    moments = [{"at": job.created_at, "project_id": job.project_id, "subject": job.id, "to_state": job.state} for job in jobs]
    event_log.append(session, [added | moment for moment in moments])


def note_edit(session: Session, thing: Job | Dataset | Study, fields: Sequence[str], now: datetime) -> None:
    """Count and log that the owner has changed something."""
    thing.version += 1
    _log(session, thing.project_id, thing.id, "edit", thing.state, thing.state, f"changed {', '.join(fields)}", now)


def move_dataset(session: Session, dataset: Dataset, state: DatasetState, reason: str, now: datetime) -> None:
    before, dataset.state = dataset.state, state
    dataset.version += 1
    dataset.agent_id = None
    _log(session, dataset.project_id, dataset.id, "dataset", before, state, reason, now)


def log_new_dataset(session: Session, dataset: Dataset, now: datetime) -> None:
    _log(session, dataset.project_id, dataset.id, "dataset", None, dataset.state, "uploaded", now)


def log_new_study(session: Session, study: Study, jobs: Sequence[Mapping[str, Any]], now: datetime) -> None:
    """Log a study with all its jobs, which are given as their columns."""
    _log_jobs(session, study, jobs, "submitted", now)
    _log(session, study.project_id, study.id, "study", None, study.state, "submitted", now)


def note_retry(session: Session, study: Study, jobs: Sequence[Mapping[str, Any]], now: datetime) -> None:
    """Count and log that a study goes on, with new jobs, which are given as their columns."""
    _log_jobs(session, study, jobs, "tried again with its study", now)
    note_study(session, study, "tried again", now)


def _log_jobs(session: Session, study: Study, jobs: Sequence[Mapping[str, Any]], reason: str, now: datetime) -> None:
    added = {"at": now, "project_id": study.project_id, "kind": "job", "from_state": None, "reason": reason}
    event_log.append(session, [{**added, "subject": job["id"], "to_state": job["state"]} for job in jobs])


def move_study(session: Session, study: Study, state: StudyState, reason: str, now: datetime) -> None:
    """End a study; whoever compares its arms holds it no longer."""
    before, study.state = study.state, state
    study.version += 1
    study.state_reason, study.finished_at = reason, now
    study.agent_id = None
    _log(session, study.project_id, study.id, "study", before, state, reason, now)


def turn_study(session: Session, study: Study, state: StudyState, reason: str, now: datetime) -> None:
    """Pause a study, or let it go on."""
    before, study.state, study.state_reason = study.state, state, reason
    study.version += 1
    _log(session, study.project_id, study.id, "study", before, state, reason, now)


def note_study(session: Session, study: Study, reason: str, now: datetime) -> None:
    """Count and log that something of a study has changed, but not its state."""
    study.version += 1
    _log(session, study.project_id, study.id, "study", study.state, study.state, reason, now)


def close_log(session: Session, thing: Job | Dataset | Study, now: datetime) -> None:
    """Log that a thing was deleted, in place of all that was logged of it."""
    session.execute(delete(Event).where(Event.subject == thing.id))
    _log(session, thing.project_id, thing.id, "deletion", thing.state, None, "deleted by its owner", now)


def close_logs_of_jobs(session: Session, study: Study, now: datetime) -> None:
    """Log that all jobs of a study were deleted, in place of all that was logged of them."""
    jobs = select(Job.id, Job.state).where(Job.study_id == study.id)
    gone = {"at": now, "project_id": study.project_id, "kind": "deletion", "to_state": None, "reason": "deleted with its study"}
    closing = [{**gone, "subject": job_id, "from_state": state} for job_id, state in session.execute(jobs)]
    session.execute(delete(Event).where(Event.subject.in_(select(Job.id).where(Job.study_id == study.id))))
    event_log.append(session, closing)


def of_job(session: Session, job_id: str) -> list[Event]:
    """Every change of a job's state, in order."""
    return list(session.scalars(select(Event).where(Event.subject == job_id, Event.kind == "job").order_by(Event.id)))


def _log(
    session: Session, project_id: str, subject: str, kind: str, before: str | None, after: str | None, reason: str, now: datetime
) -> None:
    row = {"at": now, "project_id": project_id, "subject": subject, "kind": kind, "from_state": before, "to_state": after, "reason": reason}
    event_log.append(session, [row])

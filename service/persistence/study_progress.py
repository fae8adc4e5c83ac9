"""How the end of a job moves its study: at a cost that does not grow with the study, but for its last job."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session, load_only

from counterweight.contracts.jobs import JobState
from counterweight.contracts.problems import Problem, problem_type
from counterweight.contracts.studies import StudyState
from service.domain import lifecycle, studies
from service.persistence.tables import Job, Study

GOING_ON: tuple[JobState, ...] = tuple(state for state in lifecycle.NEXT if state is not None and not lifecycle.is_terminal(state))


@dataclass(frozen=True)
class Step:
    """What became of a study, for the event log."""

    study: Study
    before: StudyState
    reason: str


def count_end(session: Session, study_id: str, now: datetime) -> Step | None:
    """Take notice that a job of the study has ended; None when the study is over already.

    Whoever ends a job holds it first and the study then, in that order. Of two last jobs that end at the same moment, the second waits
    here for the first, and sees that it is the last.
    """
    plain = load_only(Study.id, Study.project_id, Study.version, Study.state, Study.cancelled_at)
    query = select(Study).where(Study.id == study_id).options(plain).with_for_update()
    study = session.scalars(query).one()
    if study.state in studies.TERMINAL:
        return None
    before = study.state
    study.version += 1
    if session.scalar(select(Job.id).where(Job.study_id == study_id, Job.state.in_(GOING_ON)).limit(1)) is not None:
        return Step(study, before, "a job has ended")
    # One that is paused has nothing left to be paused.
    study.state = "running"
    study.trained_at, study.counts = now, counts(session, [study_id])[study_id]
    if study.cancelled_at is not None:
        return _ended(study, before, "cancelled", "cancelled by its owner", now)
    if not _can_compare(session, study_id):
        detail = f"no arm has {studies.FEWEST_RUNS} runs that succeeded: there is nothing to compare; the jobs say why they failed"
        study.error = Problem(type=problem_type("too_few_runs"), title="The study failed", status=422, code="too_few_runs", detail=detail)
        return _ended(study, before, "failed", "too_few_runs", now)
    return Step(study, before, "all jobs have ended")


def counts(session: Session, study_ids: list[str]) -> dict[str, dict[JobState, int]]:
    """Return how many jobs of each study are in each state; states without any are left out."""
    found: dict[str, dict[JobState, int]] = {study_id: {} for study_id in study_ids}
    query = select(Job.study_id, Job.state, func.count()).where(Job.study_id.in_(study_ids)).group_by(Job.study_id, Job.state)
    for study_id, state, count in session.execute(query):
        found[str(study_id)][state] = count
    return found


def _can_compare(session: Session, study_id: str) -> bool:
    runs = select(Job.study_arm).where(Job.study_id == study_id, Job.state == "succeeded").group_by(Job.study_arm)
    return session.scalar(runs.having(func.count() >= studies.FEWEST_RUNS).limit(1)) is not None


def _ended(study: Study, before: StudyState, state: StudyState, reason: str, now: datetime) -> Step:
    study.state, study.state_reason, study.finished_at = state, reason, now
    return Step(study, before, reason)

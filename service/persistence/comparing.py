"""Comparing the arms of a study: the third kind of work that agents claim, once the last job has ended."""

from collections import defaultdict
from datetime import datetime

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from counterweight.contracts.artifacts import PREDICTIONS_FILE
from counterweight.contracts.messages import ComparisonTask, StudyRun
from counterweight.contracts.problems import Problem, problem_type
from counterweight.contracts.studies import StudyResults
from service.domain import studies
from service.persistence import events, queue
from service.persistence.files import Files
from service.persistence.queue import Claim
from service.persistence.tables import Artifact, Dataset, FinalMetric, Job, Study

MAX_CRASHES = 3


def claim_study(session: Session, agent_id: str, files: Files) -> tuple[Claim, ComparisonTask] | None:
    """Hand the oldest study that waits to be compared to the agent under a new fence.

    None when there is none, or the agent is draining; LostClaim when it has been declared lost.
    """
    if not queue.takes_work(session, agent_id):
        return None
    study = session.scalar(
        select(Study)
        .where(Study.state == "running", Study.trained_at.is_not(None), Study.agent_id.is_(None))
        .order_by(Study.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    if study is None:
        return None
    study.agent_id, study.fence = agent_id, study.fence + 1
    return Claim(study.id, agent_id, study.fence), _task(session, study, files)


def record(session: Session, claim: Claim, results: StudyResults, now: datetime) -> None:
    """End the study with what the comparison found; LostClaim when the claim no longer stands."""
    study = queue.lock(session, Study, claim)
    study.results = results
    short = _arms_without_runs(session, study)
    if short:
        detail = f"{', '.join(short)}: fewer than {studies.FEWEST_RUNS} runs of it succeeded; the other arms were compared without it"
        study.error = _problem("too_few_runs", 422, detail)
    events.move_study(session, study, "failed" if short else "succeeded", "too_few_runs" if short else "compared", now)


def refuse(session: Session, study: Study, detail: str, now: datetime) -> None:
    """End a study whose arms cannot be compared, saying why."""
    study.error = _problem("comparison_failed", 500, detail)
    events.move_study(session, study, "failed", "comparison_failed", now)


def crash(session: Session, study: Study, detail: str, now: datetime) -> None:
    """The process that compared died: try again, a few times."""
    study.crashes += 1
    if study.crashes < MAX_CRASHES:
        queue.release(session, study)
    else:
        refuse(session, study, f"comparing ended {study.crashes} times before it was done: {detail}", now)


def _task(session: Session, study: Study, files: Files) -> ComparisonTask:
    dataset = session.get_one(Dataset, study.dataset_id)
    classes, counts = [share.label for share in dataset.classes], [share.count for share in dataset.classes]
    positive = study.spec.base.evaluation.positive_label or dataset.positive_label
    jobs: dict[int | None, list[str]] = defaultdict(list)
    for job_id, arm in session.execute(select(Job.id, Job.study_arm).where(Job.study_id == study.id).order_by(Job.id)):
        jobs[arm].append(job_id)
    return ComparisonTask(
        metric=study.metric,
        goal=studies.goal_of(study.metric),
        minimum_difference=study.spec.minimum_difference,
        classes=classes,
        positive=classes.index(positive) if len(classes) == 2 and positive in classes else None,
        rarest=counts.index(min(counts)),
        folds=study.spec.folds,
        arms=study.arms,
        job_ids=[jobs[index] for index in range(len(study.arms))],
        runs=_runs(session, study, files),
    )


def _runs(session: Session, study: Study, files: Files) -> list[StudyRun]:
    predictions = and_(Artifact.job_id == Job.id, Artifact.name == PREDICTIONS_FILE)
    ece = and_(FinalMetric.job_id == Job.id, FinalMetric.name == "test/ece")
    found = session.execute(
        select(Job.study_arm, Job.study_place, Artifact.path, FinalMetric.value)
        .join(Artifact, predictions)
        .outerjoin(FinalMetric, ece)
        .where(Job.study_id == study.id, Job.state == "succeeded")
        .order_by(Job.id)
    )
    return [StudyRun(arm=arm, place=place, predictions=str(files.path(path)), ece=value) for arm, place, path, value in found]


def _arms_without_runs(session: Session, study: Study) -> list[str]:
    runs = select(Job.study_arm, func.count()).where(Job.study_id == study.id, Job.state == "succeeded").group_by(Job.study_arm)
    counts = {arm: count for arm, count in session.execute(runs)}
    return [arm.arm for index, arm in enumerate(study.arms) if counts.get(index, 0) < studies.FEWEST_RUNS]


def _problem(code: str, status: int, detail: str) -> Problem:
    return Problem(type=problem_type(code), title="The study failed", status=status, code=code, detail=detail)

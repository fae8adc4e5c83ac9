"""The leaderboard of a study whose arms are not compared yet: means of the runs that have ended, from their final metrics alone."""

import statistics
from collections import defaultdict

from sqlalchemy import select
from sqlalchemy.orm import Session

from counterweight.contracts.studies import Arm, LeaderboardRow
from service.domain import studies
from service.persistence.tables import FinalMetric, Job, Study


def standings(session: Session, study: Study) -> list[LeaderboardRow]:
    """Return the arms, the best mean first, those without a run last; without intervals, and with the reason why."""
    names = {"metric": f"test/{study.metric}", "ece": "test/ece", "recall": _minority_recall(study)}
    jobs: dict[int | None, list[str]] = defaultdict(list)
    for job_id, arm in session.execute(select(Job.id, Job.study_arm).where(Job.study_id == study.id).order_by(Job.id)):
        jobs[arm].append(job_id)
    values: dict[tuple[int | None, str], list[float]] = defaultdict(list)
    ended = select(Job.study_arm, FinalMetric.name, FinalMetric.value).join(FinalMetric, FinalMetric.job_id == Job.id)
    wanted = Job.study_id == study.id, FinalMetric.name.in_([name for name in names.values() if name])
    for arm, name, value in session.execute(ended.where(*wanted)):
        if value is not None:
            values[arm, name].append(value)
    why = "not_compared" if study.state in studies.TERMINAL else "provisional"
    rows = [
        _row(arm, jobs[index], why, *(values[index, name] if name else [] for name in names.values()))
        for index, arm in enumerate(study.arms)
    ]
    return ranked(rows, studies.goal_of(study.metric) == "min")


def ranked(rows: list[LeaderboardRow], is_lower_better: bool) -> list[LeaderboardRow]:
    """Return the rows in order of their means, those without one last, each with its rank."""
    measured = [row for row in rows if row.mean is not None]
    measured.sort(key=lambda row: (row.mean or 0.0) * (1 if is_lower_better else -1))
    numbered = [row.model_copy(update={"rank": place}) for place, row in enumerate(measured, start=1)]
    return numbered + [row for row in rows if row.mean is None]


def _row(arm: Arm, job_ids: list[str], why: str, values: list[float], errors: list[float], recalls: list[float]) -> LeaderboardRow:
    return LeaderboardRow(
        **dict(arm),
        mean=statistics.fmean(values) if values else None,
        sd=statistics.stdev(values) if len(values) > 1 else None,
        low=None,
        high=None,
        reason=why if values else "no_runs",
        runs=len(values),
        minority_recall=statistics.fmean(recalls) if recalls else None,
        ece=statistics.fmean(errors) if errors else None,
        rank=None,
        job_ids=job_ids,
    )


def _minority_recall(study: Study) -> str | None:
    """Return the name of the rarer of two classes' recall: the specificity when it is not the positive one; None with several."""
    classes = study.dataset.classes
    if len(classes) != 2:
        return None
    rarest = min(classes, key=lambda share: share.count).label
    positive = study.spec.base.evaluation.positive_label or study.dataset.positive_label
    return "test/recall" if rarest == positive else "test/specificity"

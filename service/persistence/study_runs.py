"""The jobs of a study, arm by arm, as its page shows them: how each is doing, and what it came to."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from counterweight.contracts.jobs import JobState
from service.persistence.tables import FinalMetric, Job, Study


@dataclass(frozen=True)
class Run:
    """One job of an arm: how far it has trained, and the study's metric on the test rows, None until it is known."""

    job_id: str
    name: str
    state: JobState
    fraction: float
    value: float | None


@dataclass(frozen=True)
class Runs:
    """The jobs of a study by the name of their arm, and when the first of them was begun."""

    by_arm: dict[str, list[Run]]
    started_at: datetime | None

    @property
    def fraction(self) -> float:
        """How much of the training is done: early stopping may end a job before its last epoch."""
        runs = [run for own in self.by_arm.values() for run in own]
        return sum(run.fraction for run in runs) / max(1, len(runs))


def read(session: Session, study: Study) -> Runs:
    """Return the jobs of a study; those of an arm in the order in which they are compared with others'."""
    known = and_(FinalMetric.job_id == Job.id, FinalMetric.name == f"test/{study.metric}")
    shown = Job.id, Job.study_arm, Job.name, Job.state, Job.progress, FinalMetric.value
    query = select(*shown).outerjoin(FinalMetric, known).where(Job.study_id == study.id).order_by(Job.study_arm, Job.study_place)
    by_arm: dict[str, list[Run]] = {arm.arm: [] for arm in study.arms}
    for job_id, arm, name, state, progress, value in session.execute(query):
        if arm is None:
            continue
        trained = 0.0 if progress is None else progress.fraction
        fraction = trained if state in ("queued", "running", "pausing", "paused", "cancelling") else 1.0
        by_arm[study.arms[arm].arm].append(Run(job_id, name, state, fraction, value))
    return Runs(by_arm, session.scalar(select(func.min(Job.started_at)).where(Job.study_id == study.id)))

"""The curves of a study: what its jobs recorded while they trained, brought together by arm in the database."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.orm import Session

from counterweight.contracts.study_curves import ArmCurves, ArmSeries, StudyCurves
from service.persistence.tables import Job, MetricPoint, Study


def read(session: Session, study: Study, names: Sequence[str] | None, points: int) -> StudyCurves:
    """Return each metric of each arm, or those of `names`, in up to `points` points.

    What is read grows with jobs and epochs, what is answered with arms and points alone. A longer training is cut into stretches of
    equally many epochs, which keep their extremes.
    """
    point = MetricPoint
    of_study = [Job.study_id == study.id, *([] if names is None else [point.series.in_(names)])]
    ahead = select(func.max(point.epoch)).join(Job, Job.id == point.job_id).where(*of_study)
    longest = session.scalar(ahead) or 0
    # Epochs are counted from 1.
    stretch = (point.epoch - 1) * points // longest if longest > points else point.epoch.expression
    figures = (
        func.max(point.epoch),
        func.avg(point.value),
        func.min(point.value),
        func.max(point.value),
        func.count(point.job_id.distinct()),
    )
    query = select(Job.study_arm, point.series, *figures).join(Job, Job.id == point.job_id).where(*of_study)
    rows = session.execute(query.group_by(Job.study_arm, point.series, stretch).order_by(Job.study_arm, point.series, figures[0]))
    found = {arm: _series(list(own), longest > points) for arm, own in groupby(rows.all(), key=lambda row: row[0])}
    return StudyCurves(arms=[ArmCurves(arm=arm.arm, series=found.get(index, [])) for index, arm in enumerate(study.arms)])


def _series(rows: Sequence[Row[*tuple[Any, ...]]], is_reduced: bool) -> list[ArmSeries]:
    return [
        ArmSeries(name=name, points=[tuple(row[2:]) for row in own], reduced=is_reduced)
        for name, own in groupby(rows, key=lambda row: str(row[1]))
    ]

"""The metrics recorded while a job trained: reading them, at most as many points as are asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Row, func, or_, select, tuple_
from sqlalchemy.orm import Session

from counterweight.contracts.jobs import MetricSeries
from service.persistence.tables import MetricPoint

PointRow: TypeAlias = tuple[str, int, int, float, float]
"""Series, step, epoch, time, value."""


@dataclass(frozen=True)
class Wanted:
    """Which metrics, of which epochs, in how many points each."""

    names: Sequence[str] | None = None
    from_epoch: int | None = None
    to_epoch: int | None = None
    points: int = 500


def read(session: Session, job_id: str, wanted: Wanted) -> list[MetricSeries]:
    """Return the series of a job by name, all their points where these fit in `wanted.points`.

    A longer series is cut into stretches of equal length, and the lowest and the highest point of each are kept, besides the
    first and the last: no spike is lost, and the same history always gives the same points. The first, the last, the lowest
    and the highest of all are kept even where fewer than four are asked for.
    """
    point = MetricPoint
    numbered = (
        select(
            *(point.series, point.step, point.epoch, point.time, point.value),
            (func.row_number().over(partition_by=point.series, order_by=point.step) - 1).label("place"),
            func.count().over(partition_by=point.series).label("total"),
        )
        .where(*_conditions(job_id, wanted))
        .subquery()
        .c
    )
    stretches = max(1, (wanted.points - 2) // 2)
    stretch = numbered.place * stretches // numbered.total
    cut = (numbered.series, stretch)
    ranked = (
        select(
            *numbered,
            func.row_number().over(partition_by=cut, order_by=(numbered.value, numbered.step)).label("lowest"),
            func.row_number().over(partition_by=cut, order_by=(numbered.value.desc(), numbered.step)).label("highest"),
        )
        .subquery()
        .c
    )
    kept = select(ranked.series, ranked.total, ranked.step, ranked.epoch, ranked.time, ranked.value).where(
        or_(ranked.total <= wanted.points, ranked.lowest == 1, ranked.highest == 1, ranked.place == 0, ranked.place == ranked.total - 1)
    )
    rows = session.execute(kept.order_by(ranked.series, ranked.step)).all()
    return [_series(name, list(group)) for name, group in groupby(rows, key=lambda row: str(row.series))]


def page(session: Session, job_id: str, wanted: Wanted, after: PointRow | None, limit: int) -> list[PointRow]:
    """Return up to `limit` points by series and step, of those that follow the point `after`; `wanted.points` means nothing here."""
    point = MetricPoint
    query = select(point.series, point.step, point.epoch, point.time, point.value).where(*_conditions(job_id, wanted))
    if after is not None:
        query = query.where(tuple_(point.series, point.step) > tuple_(after[0], after[1]))
    return list(session.execute(query.order_by(point.series, point.step).limit(limit)))


def _conditions(job_id: str, wanted: Wanted) -> list[ColumnElement[bool]]:
    conditions = [MetricPoint.job_id == job_id]
    if wanted.names is not None:
        conditions.append(MetricPoint.series.in_(wanted.names))
    if wanted.from_epoch is not None:
        conditions.append(MetricPoint.epoch >= wanted.from_epoch)
    if wanted.to_epoch is not None:
        conditions.append(MetricPoint.epoch <= wanted.to_epoch)
    return conditions


def _series(name: str, rows: list[Row[*tuple[Any, ...]]]) -> MetricSeries:
    points = [(row.step, row.epoch, row.time, row.value) for row in rows]
    return MetricSeries(name=name, count=rows[0].total, points=points, reduced=len(points) < rows[0].total)

"""How far running jobs have come: read for many jobs at once, at a cost that hardly grows with those that stood still."""

from collections.abc import Collection, Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from counterweight.contracts.events import ProgressView
from counterweight.contracts.jobs import Progress, SeriesSummary
from service.persistence.tables import Job, Series


def moved(session: Session, job_ids: Collection[str], known: Mapping[str, Progress]) -> list[ProgressView]:
    """Return those of these jobs that run and have come to another epoch than is known of them."""
    if not job_ids:
        return []
    query = select(Job.id, Job.progress).where(Job.id.in_(job_ids), Job.state == "running")
    fresh = {job_id: progress for job_id, progress in session.execute(query) if progress is not None and progress != known.get(job_id)}
    latest: dict[str, dict[str, SeriesSummary]] = {job_id: {} for job_id in fresh}
    for series in session.scalars(select(Series).where(Series.job_id.in_(fresh)).order_by(Series.name)):
        latest[series.job_id][series.name] = SeriesSummary.model_validate(series)
    return [ProgressView(id=job_id, progress=progress, latest=latest[job_id]) for job_id, progress in fresh.items()]

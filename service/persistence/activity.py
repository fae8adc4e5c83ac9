"""What a project has, counted by state."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from counterweight.contracts.events import Activity
from service.persistence import jobs
from service.persistence.tables import Dataset, Study


def view(session: Session, project_id: str) -> Activity:
    """Return how many datasets, jobs and studies the project has in each state."""
    return Activity(
        project=project_id,
        datasets=_counts(session, Dataset, project_id),
        jobs=jobs.counts(session, project_id),
        studies=_counts(session, Study, project_id),
    )


def _counts(session: Session, table: type[Dataset] | type[Study], project_id: str) -> dict[str, int]:
    rows = session.execute(select(table.state, func.count()).where(table.project_id == project_id).group_by(table.state))
    return {str(state): count for state, count in rows}

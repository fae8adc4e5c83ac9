"""Looking into the record while a job runs."""

from service.persistence.database import Database
from service.persistence.tables import Job
from tests.api.conftest import until


def until_kept(database: Database, job_id: str) -> None:
    """Return once a checkpoint of the job is in the record: its file alone is not gone on from."""

    def is_kept() -> bool:
        with database.read() as session:
            return session.get_one(Job, job_id).checkpoint_id is not None

    until(is_kept, timeout_s=240)

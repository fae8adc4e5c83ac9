"""Deleting: the rows first, in one transaction, and then the files. What a power cut leaves between the two is tidied away later."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from service.domain import lifecycle
from service.domain.errors import WrongState
from service.persistence import events, recording, studies, study_progress
from service.persistence.tables import Dataset, Job, Model, Study

SHOWN = 3
"""So many things that stand in the way are named."""


@dataclass(frozen=True)
class Remains:
    """What lies on the disk of something: all in `folders`, but for files that others need, and why they do."""

    folders: Sequence[str]
    spared: Sequence[str] = ()
    reasons: Sequence[str] = ()


def remains_of_job(_session: Session, job: Job) -> Remains:
    """WrongState for a job that is not over, or of a study."""
    lifecycle.require("delete", job.id, job.state, job.study_id)
    return Remains([recording.job_folder(job.id)])


def remains_of_study(session: Session, study: Study) -> Remains:
    """WrongState for a study that is not over."""
    studies.require("delete", study, study.counts or study_progress.counts(session, [study.id])[study.id])
    return Remains([recording.job_folder(job_id) for job_id in session.scalars(select(Job.id).where(Job.study_id == study.id))])


def remains_of_dataset(session: Session, dataset: Dataset) -> Remains:
    """WrongState for a dataset that a job was trained or tested on: its rows and its digest are part of what the job says."""
    uses = (Job.dataset_id == dataset.id) | (Job.test_dataset_id == dataset.id)
    users = session.scalars(select(Job.id).where(uses).order_by(Job.id).limit(SHOWN + 1)).all()
    if users:
        way_out = f'delete them first; GET /api/v1/jobs?filter=dataset_id="{dataset.id}" lists them'
        raise WrongState(f"dataset {dataset.id} is needed by {_named(users)}; {way_out}", [])
    folders = [recording.dataset_folder(dataset.id), recording.cache_folder(dataset.id)]
    # The bytes of a dataset that was read again with other options lie with the one they were uploaded as.
    others = select(Dataset.id).where(Dataset.source_path == dataset.source_path, Dataset.id != dataset.id).order_by(Dataset.id)
    sharers = session.scalars(others.limit(SHOWN + 1)).all()
    if sharers:
        return Remains(folders, [dataset.source_path], [f"the uploaded bytes, which {_named(sharers)} read"])
    home = dataset.source_path.rpartition("/")[0]
    return Remains(folders if home in folders else [*folders, home])


def delete_job(session: Session, job: Job, now: datetime) -> None:
    """Delete all rows of a job; its event log ends with its deletion."""
    session.execute(delete(Model).where(Model.job_id == job.id))
    session.execute(delete(Job).where(Job.id == job.id))
    events.close_log(session, job, now)


def delete_study(session: Session, study: Study, now: datetime) -> None:
    """Delete all rows of a study and of its jobs; each event log ends with the deletion."""
    jobs = select(Job.id).where(Job.study_id == study.id)
    events.close_logs_of_jobs(session, study, now)
    session.execute(delete(Model).where(Model.job_id.in_(jobs)))
    session.execute(delete(Job).where(Job.study_id == study.id))
    session.execute(delete(Study).where(Study.id == study.id))
    events.close_log(session, study, now)


def delete_dataset(session: Session, dataset: Dataset, now: datetime) -> None:
    session.execute(delete(Dataset).where(Dataset.id == dataset.id))
    events.close_log(session, dataset, now)


def _named(ids: Sequence[str]) -> str:
    return f"{', '.join(ids[:SHOWN])} and others" if len(ids) > SHOWN else " and ".join(ids)

"""The files of a job in the record."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from counterweight.contracts.artifacts import ArtifactView
from service.domain.errors import NotFound
from service.persistence.tables import Artifact, Job

MEDIA_TYPES = {".json": "application/json", ".parquet": "application/vnd.apache.parquet"}
ANY_BYTES = "application/octet-stream"
"""What every other file is sent as: nothing that a browser would run."""


def of_job(session: Session, job: Job) -> list[Artifact]:
    """Return the files of a job, by name."""
    return list(session.scalars(select(Artifact).where(Artifact.job_id == job.id).order_by(Artifact.name)))


def get(session: Session, job: Job, name: str) -> Artifact:
    """Return a file of a job; NotFound, with the names there are, when it has none of this name."""
    artifact = session.get(Artifact, (job.id, name)) if name.isprintable() else None
    if artifact is None:
        names = ", ".join(other.name for other in of_job(session, job))
        raise NotFound(f"job {job.id} has no file {name[:100]!r}; it has {names or f'none, being {job.state}'}")
    return artifact


def view(artifact: Artifact) -> ArtifactView:
    return ArtifactView(
        name=artifact.name,
        bytes=artifact.bytes,
        sha256=artifact.sha256,
        media_type=media_type(artifact),
        links={"self": f"/api/v1/jobs/{artifact.job_id}/artifacts/{artifact.name}"},
    )


def media_type(artifact: Artifact) -> str:
    return next((kind for suffix, kind in MEDIA_TYPES.items() if artifact.name.endswith(suffix)), ANY_BYTES)

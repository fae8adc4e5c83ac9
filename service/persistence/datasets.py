"""Datasets in the record."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, select
from sqlalchemy.exc import IntegrityError, InvalidRequestError
from sqlalchemy.orm import Session

from counterweight.contracts.datasets import DatasetOptions, DatasetPatch, DatasetView, TableFacts
from counterweight.contracts.ids import is_id
from service.domain.canonical import digest
from service.domain.editing import merged_labels
from service.domain.errors import Invalid, NotFound, NotReady
from service.domain.versions import ANY, Expected
from service.persistence import events
from service.persistence.files import Files
from service.persistence.tables import Dataset


@dataclass(frozen=True)
class NewSource:
    """Bytes that are stored, and how they are to be read."""

    dataset_id: str
    name: str
    sha256: str
    bytes: int
    source_path: str
    options: DatasetOptions


def options_digest(options: DatasetOptions) -> str:
    return digest(options.model_dump(mode="json"))


def source_path(dataset_id: str) -> str:
    """Where the uploaded bytes of a dataset lie, under the files' root."""
    return f"datasets/{dataset_id}/source"


def absent_source(session: Session, files: Files) -> str | None:
    """Return the file of the newest dataset, as recorded, if it is not among `files`: they are another service's, or not mounted."""
    newest = session.scalar(select(Dataset.source_path).order_by(Dataset.id.desc()).limit(1))
    return None if newest is None or files.path(newest).exists() else newest


def get(session: Session, project_id: str, dataset_id: str) -> Dataset:
    """Return a dataset; NotFound when there is none of this id in the project."""
    return _of_project(session.get(Dataset, dataset_id) if is_id("ds", dataset_id) else None, project_id, dataset_id)


def ready(dataset: Dataset, pointer: str = "/dataset_id") -> Dataset:
    """Return a dataset that can be trained on; NotReady while it is being read, Invalid at `pointer` when its file could not be."""
    if dataset.state == "processing":
        raise NotReady(f"dataset {dataset.id} is still being read; wait until its state is `ready`", code="dataset_not_ready")
    if dataset.state == "failed":
        why = dataset.error.detail if dataset.error is not None else "its file could not be read"
        raise Invalid.at(pointer, "dataset_failed", f"dataset {dataset.id} failed: {why}")
    return dataset


def hold(session: Session, project_id: str, dataset_id: str, expected: Expected = ANY) -> Dataset:
    """Return a dataset to be changed, locked; NotFound when there is none, StaleVersion when it is not of an expected version."""
    dataset = get(session, project_id, dataset_id)
    try:
        session.refresh(dataset, with_for_update=True)
    except InvalidRequestError:
        raise NotFound(f"there is no dataset {dataset_id!r} in this project any more") from None
    expected.check(dataset.version)
    return dataset


def pin(session: Session, project_id: str, dataset_id: str) -> Dataset:
    """Return a dataset that nobody deletes before this transaction ends: something is about to point to it."""
    pinned = session.scalar(_PINNED, {"dataset_id": dataset_id}) if is_id("ds", dataset_id) else None
    return _of_project(pinned, project_id, dataset_id)


_PINNED = select(Dataset).where(Dataset.id == bindparam("dataset_id")).with_for_update(read=True, key_share=True)


def edit(session: Session, dataset: Dataset, patch: DatasetPatch, now: datetime) -> None:
    """Change a dataset's name or labels."""
    after: dict[str, object] = {"name": patch.name} if "name" in patch.model_fields_set else {}
    if "labels" in patch.model_fields_set:
        after["labels"] = merged_labels(dataset.labels, patch.labels)
    changed = {field: value for field, value in after.items() if value != getattr(dataset, field)}
    if changed:
        for field, value in changed.items():
            setattr(dataset, field, value)
        events.note_edit(session, dataset, sorted(changed), now)


def page(session: Session, project_id: str, before: str | None, limit: int) -> list[Dataset]:
    """Return up to `limit` datasets, newest first, of those made before the dataset `before`."""
    query = select(Dataset).where(Dataset.project_id == project_id).order_by(Dataset.id.desc()).limit(limit)
    return list(session.scalars(query if before is None else query.where(Dataset.id < before)))


def names(session: Session, dataset_ids: Collection[str]) -> dict[str, str]:
    """Return what these datasets are called."""
    return {key: name for key, name in session.execute(select(Dataset.id, Dataset.name).where(Dataset.id.in_(dataset_ids)))}


def find_twin(session: Session, project_id: str, sha256: str, options: DatasetOptions) -> Dataset | None:
    """Return the project's dataset of the same bytes read in the same way."""
    return session.scalar(
        select(Dataset).where(Dataset.project_id == project_id, Dataset.sha256 == sha256, Dataset.options_sha256 == options_digest(options))
    )


def add(session: Session, project_id: str, source: NewSource, created_by: str | None, now: datetime) -> Dataset | None:
    """Record stored bytes as a dataset to be read; None when a twin was recorded in the meantime."""
    dataset = Dataset(
        id=source.dataset_id,
        project_id=project_id,
        name=source.name,
        labels={},
        state="processing",
        sha256=source.sha256,
        bytes=source.bytes,
        source_path=source.source_path,
        options=source.options,
        options_sha256=options_digest(source.options),
        columns=[],
        classes=[],
        part_classes={},
        notes=[],
        created_at=now,
        created_by=created_by,
    )
    try:
        with session.begin_nested():
            session.add(dataset)
    except IntegrityError:
        return None
    events.log_new_dataset(session, dataset, now)
    return dataset


def read_again(session: Session, dataset: Dataset, now: datetime) -> None:
    """Give a file that could not be read another try: its owner has sent it again."""
    dataset.error, dataset.crashes = None, 0
    events.move_dataset(session, dataset, "processing", "uploaded again", now)


def facts(dataset: Dataset) -> TableFacts:
    """Return what reading a ready dataset found out."""
    if dataset.state != "ready" or dataset.format is None or dataset.rows is None:
        raise ValueError(f"dataset {dataset.id} is {dataset.state}: it has no facts")
    return TableFacts(
        kind=dataset.kind or "tabular",
        format=dataset.format,
        rows=dataset.rows,
        columns=dataset.columns,
        target=dataset.target,
        positive_label=dataset.positive_label,
        classes=dataset.classes,
        part_classes=dataset.part_classes,
        image_size=dataset.image_size,
        notes=dataset.notes,
    )


def view(dataset: Dataset) -> DatasetView:
    counts = [share.count for share in dataset.classes]
    path = f"/api/v1/datasets/{dataset.id}"
    return DatasetView(
        id=dataset.id,
        version=dataset.version,
        name=dataset.name,
        labels=dataset.labels,
        project=dataset.project_id,
        state=dataset.state,
        error=dataset.error,
        sha256=dataset.sha256,
        bytes=dataset.bytes,
        format=dataset.format,
        kind=dataset.kind,
        image_size=dataset.image_size,
        rows=dataset.rows,
        rows_refused=0,
        columns=dataset.columns,
        target=dataset.target,
        positive_label=dataset.positive_label,
        classes=dataset.classes,
        imbalance_ratio=max(counts) / min(counts) if counts and min(counts) > 0 else None,
        notes=dataset.notes,
        created_at=dataset.created_at,
        created_by=dataset.created_by,
        links={"self": path, "jobs": f'/api/v1/jobs?filter=dataset_id="{dataset.id}"'},
    )


def _of_project(dataset: Dataset | None, project_id: str, dataset_id: str) -> Dataset:
    if dataset is None or dataset.project_id != project_id:
        raise NotFound(f"there is no dataset {dataset_id!r} in this project")
    return dataset

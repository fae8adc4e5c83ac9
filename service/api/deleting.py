"""Deleting one thing: its rows, durably, and only then its files."""

from collections.abc import Callable
from datetime import datetime
from typing import Literal, TypeVar

from sqlalchemy.orm import Session

from counterweight.contracts.deletions import Deletion
from counterweight.crashpoints import crashpoint
from service.api.dependencies import Service, now
from service.persistence.deletion import Remains
from service.persistence.tables import Dataset, Job, Study

Thing = TypeVar("Thing", Job, Dataset, Study)


def delete(
    service: Service,
    kind: Literal["job", "dataset", "study"],
    find: Callable[[Session], Thing],
    remains_of: Callable[[Session, Thing], Remains],
    forget: Callable[[Session, Thing, datetime], None],
    *,
    is_dry_run: bool,
) -> Deletion:
    with service.database.write() as session:
        thing = find(session)
        remains = remains_of(session, thing)
        count, size = service.files.measure(remains.folders, remains.spared)
        if not is_dry_run:
            forget(session, thing, now())
    if not is_dry_run:
        crashpoint("deletion.committed")
        service.files.remove_folders(remains.folders, remains.spared)
    return Deletion(id=thing.id, object=kind, deleted=not is_dry_run, files=count, bytes=size, kept=list(remains.reasons))

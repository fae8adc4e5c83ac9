"""What nothing points to is cleared away; what something points to, or may soon point to, is not."""

import os
from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from service.persistence import housekeeping
from service.persistence.database import Database
from service.persistence.files import Files
from service.persistence.tables import DEFAULT_PROJECT, IdempotentAnswer
from tests.factories import make_dataset

NOW = datetime.now(UTC)


def _upload(files: Files, relative: str, age: timedelta) -> str:
    with files.receive() as incoming:
        incoming.write(b"a,b\n1,2\n")
        incoming.keep(relative)
    then = (NOW - age).timestamp()
    os.utime(files.path(relative), (then, then))
    return relative


def test_an_upload_that_no_dataset_points_to_is_removed_after_a_day(database: Database, files: Files) -> None:
    orphan = _upload(files, "datasets/ds_orphan/source", timedelta(days=2))

    housekeeping.tidy(database, files, NOW)

    assert not files.path(orphan).parent.exists()


def test_an_upload_that_may_still_be_under_way_is_left_alone(database: Database, files: Files) -> None:
    young = _upload(files, "datasets/ds_young/source", timedelta(hours=1))

    housekeeping.tidy(database, files, NOW)

    assert files.path(young).exists()


def test_a_datasets_own_upload_is_left_alone(database: Database, files: Files) -> None:
    with database.write() as session:
        path = make_dataset(session).source_path
    _upload(files, path, timedelta(days=400))

    housekeeping.tidy(database, files, NOW)

    assert files.path(path).exists()


def test_an_idempotent_answer_is_kept_a_day_and_not_for_ever(database: Database, files: Files) -> None:
    with database.write() as session:
        for key, age in (("young", timedelta(days=1)), ("old", timedelta(days=8))):
            row = {"fingerprint": "f", "status": 201, "location": "/", "body": "{}", "created_at": NOW - age}
            session.add(IdempotentAnswer(project_id=DEFAULT_PROJECT, key=key, **row))

    housekeeping.tidy(database, files, NOW)

    with database.read() as session:
        assert session.scalars(select(IdempotentAnswer.key)).all() == ["young"]

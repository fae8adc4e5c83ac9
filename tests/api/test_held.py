"""Many who ask for the same cost one read, and nobody is shown less than what is committed."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.api.held import MOST_HELD, Held
from service.domain.errors import NotFound
from service.persistence.commits import FileCommits
from service.persistence.database import Database
from service.persistence.tables import Job
from tests.api.conftest import Api
from tests.factories import make_dataset, make_job

FOR_EVER = float("inf")
embedded = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""What is asserted to be held is so on a database of the test's own: any commit to a PostgreSQL server, by whatever test, ends it."""


class Looks:
    """A record whose reads are counted; each finds how many there were."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> int:
        self.count += 1
        return self.count


@pytest.fixture
def commit(database: Database) -> Callable[[], None]:
    def commit() -> None:
        with database.write() as session:
            make_dataset(session)

    return commit


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


async def asked(held: Held, look: Callable[[], int], key: str = "key", lasts_s: float = FOR_EVER, times: int = 1) -> list[int]:
    return await asyncio.gather(*(held.get(key, look, lambda _: lasts_s) for _ in range(times)))


@embedded
def test_many_at_once_and_again_are_one_read(database: Database, runner: asyncio.Runner) -> None:
    held, look = Held(database.commits), Looks()

    found = runner.run(asked(held, look, times=64)) + runner.run(asked(held, look))

    assert found == [1] * 65


def test_many_at_once_are_one_read(database: Database, runner: asyncio.Runner) -> None:
    held, look = Held(database.commits), Looks()

    assert runner.run(asked(held, look, times=64)) == [1] * 64


def test_without_a_mark_who_asks_while_the_same_is_read_is_shown_the_next_read(runner: asyncio.Runner, tmp_path: Path) -> None:
    held, looks = Held(FileCommits(str(tmp_path / "absent.db"))), Looks()
    begun, may_end = threading.Event(), threading.Event()

    def slow() -> int:
        begun.set()
        assert may_end.wait(30)
        return looks()

    async def three() -> list[int]:
        first = asyncio.ensure_future(held.get("key", slow, lambda _: FOR_EVER))
        await asyncio.to_thread(begun.wait, 30)
        later = [asyncio.ensure_future(held.get("key", looks, lambda _: FOR_EVER)) for _ in range(2)]
        await asyncio.sleep(0)
        may_end.set()
        return [await first, *await asyncio.gather(*later)]

    assert runner.run(three()) == [1, 2, 2]


def test_a_read_that_fails_fails_only_those_who_shared_it(database: Database, runner: asyncio.Runner) -> None:
    held, looks = Held(database.commits), Looks()

    def failing() -> int:
        raise NotFound("there is none")

    with pytest.raises(NotFound):
        runner.run(asked(held, failing, times=2))

    assert runner.run(asked(held, looks)) == [1]


def test_a_mark_changes_with_every_commit_in_whatever_order(database: Database) -> None:
    marks = [database.commits.mark()]
    with database.write() as early:
        if not database.is_sqlite:  # There is one writer at a time.
            with database.write() as late:
                make_dataset(early)
                early.flush()
                make_dataset(late)
            marks.append(database.commits.mark())
        make_dataset(early)
    marks.append(database.commits.mark())

    assert None not in marks
    assert len(set(marks)) == len(marks)


def test_a_commit_makes_the_next_one_read(database: Database, runner: asyncio.Runner, commit: Callable[[], None]) -> None:
    held, look = Held(database.commits), Looks()
    before = runner.run(asked(held, look))

    commit()

    assert runner.run(asked(held, look)) > before


@embedded
def test_a_commit_while_reading_makes_the_next_one_read(database: Database, runner: asyncio.Runner, commit: Callable[[], None]) -> None:
    held, looks = Held(database.commits), Looks()

    def overtaken() -> int:
        found = looks()
        commit()
        return found

    runner.run(asked(held, overtaken))

    assert runner.run(asked(held, looks)) == [2]


@embedded
def test_what_moves_is_read_again_after_its_time(database: Database, runner: asyncio.Runner) -> None:
    now = [0.0]
    held, look = Held(database.commits, clock=lambda: now[0]), Looks()

    found = []
    for now[0] in (0.0, 0.9, 1.0):
        found += runner.run(asked(held, look, lasts_s=1.0))

    assert found == [1, 1, 2]


def test_an_error_is_not_held(database: Database, runner: asyncio.Runner) -> None:
    held, looks = Held(database.commits), Looks()

    def failing() -> int:
        looks()
        raise NotFound("there is none")

    for _ in range(2):
        with pytest.raises(NotFound):
            runner.run(asked(held, failing))

    assert looks.count == 2


@embedded
def test_one_who_leaves_takes_nothing_from_the_others(database: Database, runner: asyncio.Runner) -> None:
    held, look = Held(database.commits), Looks()

    async def two() -> int:
        first, second = (asyncio.ensure_future(held.get("key", look, lambda _: FOR_EVER)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        return await second

    assert runner.run(two()) == 1


@embedded
def test_what_is_held_is_bounded(database: Database, runner: asyncio.Runner) -> None:
    held, look = Held(database.commits), Looks()

    for number in range(MOST_HELD + 1):
        runner.run(asked(held, look, key=str(number)))

    assert len(held._readings) <= MOST_HELD


def test_every_change_of_a_job_is_seen_by_the_next_read(api: Api, database: Database) -> None:
    with database.write() as session:
        job_id = make_job(session, state="succeeded").id
    assert api.get(f"/api/v1/jobs/{job_id}").json()["name"] != "renamed 0"

    for number in range(5):
        with database.write() as session:
            job = session.get_one(Job, job_id)
            job.name = f"renamed {number}"

        assert api.get(f"/api/v1/jobs/{job_id}").json()["name"] == f"renamed {number}"


def test_a_dataset_is_no_job_though_it_was_just_read(api: Api, database: Database) -> None:
    with database.write() as session:
        dataset_id = make_dataset(session).id

    assert api.get(f"/api/v1/datasets/{dataset_id}").status_code == 200
    assert api.get(f"/api/v1/jobs/{dataset_id}").status_code == 404

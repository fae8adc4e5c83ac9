"""Trainers that run elsewhere: their token opens the mail of their own attempt while it goes on, and nothing else."""

from datetime import UTC, datetime

import pytest

from counterweight.contracts.keys import NewKey
from counterweight.contracts.mail import Letter
from service.api import trainer
from service.persistence import attempts, keys, mail, queue
from service.persistence.database import Database
from service.persistence.tables import DEFAULT_PROJECT, Job
from tests.api.conftest import Api
from tests.factories import make_agent, make_job

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
LETTERS = "/api/v1/trainer/letters"
ORDERS = "/api/v1/trainer/orders"


def _claimed(database: Database) -> tuple[queue.Claim, dict[str, str]]:
    """Claim a job; return its claim, and the header that shows its attempt's token."""
    with database.write() as session:
        make_job(session)
        cohort = queue.claim_cohort(session, make_agent(session).id, ("auto",), NOW)
        assert cohort is not None
        return cohort.claims[0], {"Authorization": f"Bearer {mail.open_channel(session, cohort.claims)}"}


def _channel(bearer: dict[str, str]) -> str:
    return mail.digest(bearer["Authorization"].removeprefix("Bearer "))


def _write(api: Api, bearer: dict[str, str], number: int, *lines: str) -> int:
    return api.ask("PUT", f"{LETTERS}/{number}", content=Letter(lines=list(lines)).model_dump_json(), headers=bearer).status_code


def test_letters_are_kept_in_order_and_one_that_is_sent_again_once(api: Api, database: Database) -> None:
    _, bearer = _claimed(database)
    _, other = _claimed(database)

    statuses = [_write(api, bearer, number, line) for number, line in ((1, "one"), (2, "two"), (2, "two"))] + [
        _write(api, other, 1, "else")
    ]

    with database.read() as session:
        found = mail.letters(session, _channel(bearer), after=0)
    assert statuses == [204] * 4
    assert [(number, Letter.model_validate_json(body).lines) for number, body in found] == [(1, ["one"]), (2, ["two"])]


def test_orders_are_told_from_where_the_trainer_has_read(api: Api, database: Database) -> None:
    _, bearer = _claimed(database)
    with database.write() as session:
        for number, body in enumerate(["stop", "leave"], start=1):
            mail.order(session, _channel(bearer), number, body)

    told = [api.get(f"{ORDERS}?after={after}", headers=bearer).json() for after in (0, 1, 2)]

    assert told == [{"lines": ["stop", "leave"], "last": 2}, {"lines": ["leave"], "last": 2}, {"lines": [], "last": 2}]


def test_a_token_opens_nothing_once_its_attempt_has_ended(api: Api, database: Database) -> None:
    claim, bearer = _claimed(database)
    before = _write(api, bearer, 1, "one")
    with database.write() as session:
        attempts.lose(session, session.get_one(Job, claim.id), "its cluster is gone", NOW)

    late = _write(api, bearer, 2, "two"), api.get(ORDERS, headers=bearer).status_code

    assert before == 204
    assert late == (401, 401)


def test_a_token_of_a_cohort_opens_while_one_of_its_jobs_goes_on(api: Api, database: Database) -> None:
    claim, first = _claimed(database)
    other, _ = _claimed(database)
    with database.write() as session:
        together = {"Authorization": f"Bearer {mail.open_channel(session, [claim, other])}"}
        attempts.lose(session, session.get_one(Job, claim.id), None, NOW)

    assert _write(api, together, 1) == 204
    assert _write(api, first, 1) == 401


def test_a_trainer_may_do_nothing_else_and_no_key_what_a_trainer_may(api: Api, database: Database) -> None:
    claim, bearer = _claimed(database)
    open_to_all = _write(api, {}, 1), api.get(ORDERS).status_code
    with database.write() as session:
        _, secret = keys.add(session, DEFAULT_PROJECT, NewKey(name="admin", scope="admin"), NOW)
    admin = {"Authorization": f"Bearer {secret}"}

    theirs = [api.get(path, headers=bearer).status_code for path in ("/api/v1/jobs", f"/api/v1/jobs/{claim.id}", "/api/v1/projects")]
    theirs += [api.post(f"/api/v1/{path}", headers=bearer).status_code for path in (f"jobs/{claim.id}/cancel", "workers/agt_1/drain")]
    ours = _write(api, admin, 1), api.get(ORDERS, headers=admin).status_code

    assert open_to_all == (403, 403)
    assert set(theirs) == {403}
    assert ours == (403, 403)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("content", "status"), [(b"{}", 204), (b'{"lines": 1}', 400), (b"", 400), (b'{"more": ""}', 400), (b"\xff", 400)])
def test_what_is_no_letter_is_refused(api: Api, database: Database, content: bytes, status: int) -> None:
    _, bearer = _claimed(database)

    assert api.ask("PUT", f"{LETTERS}/1", content=content, headers=bearer).status_code == status


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_letter_has_a_bound_and_so_have_those_that_nobody_reads(api: Api, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    _, bearer = _claimed(database)
    monkeypatch.setattr(trainer, "MAX_LETTER_BYTES", 100)

    too_large = _write(api, bearer, 1, "x" * 100)
    statuses = [_write(api, bearer, number) for number in range(1, mail.MOST_WAITING + 3)]

    assert too_large == 413
    assert statuses == [204] * (mail.MOST_WAITING + 1) + [503]


def test_mail_of_ended_attempts_is_swept(api: Api, database: Database) -> None:
    claim, bearer = _claimed(database)
    _, living = _claimed(database)
    for one in (bearer, living):
        assert _write(api, one, 1, "one") == 204
    with database.write() as session:
        attempts.lose(session, session.get_one(Job, claim.id), None, NOW)

        mail.sweep(session)

    with database.read() as session:
        assert mail.letters(session, _channel(bearer), after=0) == []
        assert len(mail.letters(session, _channel(living), after=0)) == 1

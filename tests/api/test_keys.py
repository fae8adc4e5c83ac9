"""API keys: made once, shown without their secret, revoked at once."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from service.persistence import keys
from service.persistence.database import Database
from service.persistence.tables import ApiKey
from tests.api.conftest import Api

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def test_a_new_key_is_told_once(api: Api) -> None:
    made = api.post("/api/v1/api-keys", json={"name": "ci", "scope": "admin"})
    bearer = {"Authorization": f"Bearer {made.json()['key']}"}

    listed = api.get("/api/v1/api-keys", headers=bearer)

    assert made.status_code == 201
    assert made.json()["key"].startswith("cw_")
    assert made.json()["key"] not in listed.text
    assert listed.json()["data"][0]["name"] == "ci"


@SQLITE
def test_the_record_holds_no_secret(api: Api, database: Database) -> None:
    secret = api.post("/api/v1/api-keys", json={"name": "ci", "scope": "admin"}).json()["key"]

    with database.read() as session:
        row = session.scalars(select(ApiKey)).one()

    assert secret not in str(vars(row))


@SQLITE
def test_two_keys_differ(api: Api) -> None:
    first = api.post("/api/v1/api-keys", json={"name": "a", "scope": "admin"}).json()["key"]
    second = api.post("/api/v1/api-keys", json={"name": "a", "scope": "admin"}, headers={"Authorization": f"Bearer {first}"}).json()["key"]

    assert first != second
    assert len(first) == len("cw_") + 43  # 256 bits in base64.


@SQLITE
def test_a_repeat_of_a_secret_answer_is_refused(api: Api) -> None:
    once = {"Idempotency-Key": "k"}
    first = api.post("/api/v1/api-keys", json={"name": "a", "scope": "admin"}, headers=once)

    again = api.post(
        "/api/v1/api-keys", json={"name": "a", "scope": "admin"}, headers=once | {"Authorization": f"Bearer {first.json()['key']}"}
    )

    assert (again.status_code, again.json()["code"]) == (409, "idempotency_secret")


def test_revoking_twice_changes_nothing(api: Api) -> None:
    made = api.post("/api/v1/api-keys", json={"name": "a", "scope": "admin"}).json()
    other = api.post("/api/v1/api-keys", json={"name": "b"}, headers={"Authorization": f"Bearer {made['key']}"}).json()
    bearer = {"Authorization": f"Bearer {made['key']}"}

    first = api.ask("DELETE", f"/api/v1/api-keys/{other['id']}", headers=bearer).json()
    second = api.ask("DELETE", f"/api/v1/api-keys/{other['id']}", headers=bearer).json()

    assert first["revoked_at"] == second["revoked_at"]
    assert first["is_active"] is False


def test_the_bootstrap_key_is_made_once_and_stays_revoked(database: Database) -> None:
    secret, now = "s" * 40, datetime.now(UTC)
    with database.write() as session:
        keys.ensure_bootstrap(session, secret, now)
        caller = keys.verify(session, secret, now)
        assert caller is not None
        assert caller.key_id is not None
        keys.revoke(session, caller.project_id, caller.key_id, now)

    with database.write() as session:
        keys.ensure_bootstrap(session, secret, now)

        assert keys.verify(session, secret, now) is None


@SQLITE
@pytest.mark.parametrize("expires_at", ["2030-01-01T00:00:00", "soon", 1e400, "9999999999999999"])
def test_an_expiry_needs_a_moment_with_a_zone(api: Api, expires_at: object) -> None:
    body = f'{{"name": "a", "expires_at": {expires_at!r}}}'.replace("'", '"')

    answer = api.post("/api/v1/api-keys", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code in (400, 422)


def test_the_first_key_must_be_an_admins(api: Api) -> None:
    answer = api.post("/api/v1/api-keys", json={"name": "me"})

    assert answer.status_code == 422
    assert answer.json()["code"] == "first_key_not_admin"

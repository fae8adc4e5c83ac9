"""Who may ask: host names, foreign pages, keys and scopes."""

from datetime import UTC, datetime, timedelta

import pytest

from counterweight.contracts.keys import NewKey, Scope
from counterweight.settings import ServerSettings
from service.api.app import make_app
from service.persistence import keys
from service.persistence.database import Database
from service.persistence.files import Files
from service.persistence.tables import DEFAULT_PROJECT
from tests.api.conftest import Api
from tests.factories import make_dataset, make_job, make_project

BOTH = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def make_key(
    database: Database, scope: Scope = "admin", project_id: str = DEFAULT_PROJECT, expires_at: datetime | None = None
) -> dict[str, str]:
    """Make a key; return the header that bears it."""
    with database.write() as session:
        _, secret = keys.add(session, project_id, NewKey(name="test", scope=scope, expires_at=expires_at), datetime.now(UTC))
    return {"Authorization": f"Bearer {secret}"}


@SQLITE
@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8321", "127.0.0.1:1", "[::1]:8321", "[::1]"])
def test_own_names_are_answered(api: Api, host: str) -> None:
    assert api.get("/healthz", headers={"Host": host}).status_code == 200


@SQLITE
@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "localhost.", "127.0.0.1.nip.io", "", "evil:8321", "[::2]", "localhost:x", "a@localhost"],
)
def test_foreign_names_are_not_answered(api: Api, host: str) -> None:
    answer = api.get("/healthz", headers={"Host": host})

    assert (answer.status_code, answer.json()["code"]) == (421, "host_not_allowed")


@SQLITE
def test_two_host_headers_are_refused(api: Api) -> None:
    answer = api.get("/healthz", headers=[("Host", "localhost"), ("Host", "localhost")])

    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_request")


@SQLITE
def test_further_names_can_be_allowed(settings: ServerSettings, database: Database, files: Files) -> None:
    api = Api(make_app(settings.model_copy(update={"allowed_hosts": ["train.example"]}), database, files))

    assert api.get("/healthz", headers={"Host": "train.example"}).status_code == 200
    api.close()


@SQLITE
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:9999"},
        {"Origin": "http://localhost.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://localhost", "Sec-Fetch-Site": "cross-site"},
    ],
)
def test_foreign_pages_may_not_change_anything(api: Api, headers: dict[str, str]) -> None:
    for method, path in (("POST", "/api/v1/jobs"), ("DELETE", "/api/v1/api-keys/key_1"), ("PUT", "/"), ("PATCH", "/"), ("FROB", "/")):
        answer = api.ask(method, path, headers=headers)

        assert (answer.status_code, answer.json()["code"]) == (403, "foreign_origin")


@SQLITE
@pytest.mark.parametrize("headers", [{}, {"Origin": "http://localhost"}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}])
def test_own_pages_and_programs_may(api: Api, headers: dict[str, str]) -> None:
    assert api.submit("ds_1", headers=headers).status_code == 404


@SQLITE
def test_a_foreign_page_cannot_read_through_cors(api: Api) -> None:
    answer = api.get("/api/v1/jobs", headers={"Origin": "https://evil.example"})

    assert not [name for name in answer.headers if name.startswith("access-control")]


@SQLITE
@pytest.mark.parametrize("headers", [[("X-A", "b")] * 101, [("X-A", "b" * 40_000)]], ids=["many", "large"])
def test_too_many_or_too_large_headers_are_refused(api: Api, headers: list[tuple[str, str]]) -> None:
    answer = api.get("/healthz", headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (431, "headers_too_large")


@SQLITE
@pytest.mark.parametrize("path", ["/", "/healthz", "/api/v1/jobs", "/api/v1/nothing"])
def test_answers_are_not_cached_sniffed_or_run(api: Api, path: str) -> None:
    headers = api.get(path).headers

    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["cache-control"] == "no-store"


@SQLITE
def test_loopback_is_open_until_a_key_exists(api: Api, database: Database) -> None:
    before = api.get("/api/v1/jobs").status_code
    make_key(database)

    after = api.get("/api/v1/jobs")

    assert (before, after.status_code) == (200, 401)
    assert after.headers["www-authenticate"].startswith("Bearer")


@SQLITE
def test_elsewhere_a_key_is_always_needed(settings: ServerSettings, database: Database, files: Files) -> None:
    api = Api(make_app(settings.model_copy(update={"bind": "0.0.0.0:8321"}), database, files))

    assert api.get("/api/v1/jobs").status_code == 401
    api.close()


@SQLITE
def test_a_key_opens(api: Api, database: Database) -> None:
    bearer = make_key(database)

    assert api.get("/api/v1/jobs", headers=bearer).status_code == 200


@SQLITE
@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "Bearer cw_", "Bearer x", "Basic YTpi", "cw_x", "Bearer cw_\xe9"])
def test_what_is_no_key_does_not_open(api: Api, database: Database, value: str) -> None:
    make_key(database)

    answer = api.get("/api/v1/jobs", headers=[(b"Authorization", value.encode("latin-1"))])

    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


@SQLITE
def test_a_key_does_not_open_by_its_digest_or_its_id(api: Api, database: Database) -> None:
    make_key(database)
    with database.read() as session:
        [key] = keys.page(session, DEFAULT_PROJECT, None, 10)

    statuses = [api.get("/api/v1/jobs", headers={"Authorization": f"Bearer {text}"}).status_code for text in (key.sha256, key.id)]

    assert statuses == [401, 401]


@BOTH
def test_an_expired_key_does_not_open(api: Api, database: Database) -> None:
    make_key(database)
    expired = make_key(database, expires_at=datetime.now(UTC) - timedelta(seconds=1))

    assert api.get("/api/v1/jobs", headers=expired).status_code == 401


@BOTH
def test_a_revoked_key_does_not_open_the_next_request(api: Api, database: Database) -> None:
    admin, other = make_key(database), make_key(database)
    newest = api.get("/api/v1/api-keys", headers=admin).json()["data"][0]["id"]
    opened = api.get("/api/v1/jobs", headers=other).status_code

    api.ask("DELETE", f"/api/v1/api-keys/{newest}", headers=admin)

    statuses = {api.get("/api/v1/jobs", headers=bearer).status_code for bearer in (admin, other)}
    assert opened == 200
    assert statuses == {200, 401}


@SQLITE
def test_where_keys_exist_unknown_paths_need_one_too(api: Api, database: Database) -> None:
    make_key(database)

    assert api.get("/api/v1/nothing").status_code == 401


@SQLITE
@pytest.mark.parametrize(("scope", "allowed"), [("read", (200, 403, 403)), ("submit", (200, 404, 403)), ("admin", (200, 404, 200))])
def test_each_scope_includes_the_ones_before(api: Api, database: Database, scope: Scope, allowed: tuple[int, ...]) -> None:
    bearer = make_key(database, scope)

    statuses = (
        api.get("/api/v1/jobs", headers=bearer).status_code,
        api.submit("ds_1", headers=bearer).status_code,
        api.get("/api/v1/api-keys", headers=bearer).status_code,
    )

    assert statuses == allowed


@BOTH
def test_things_of_another_project_are_not_there(api: Api, database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session)
        job = make_job(session, dataset)
        project_id = make_project(session).id
    stranger = make_key(database, project_id=project_id)
    paths = [f"/api/v1/datasets/{dataset.id}", f"/api/v1/jobs/{job.id}"]
    paths += [
        f"/api/v1/jobs/{job.id}/{part}" for part in ("metrics", "evaluation", "operating-point?threshold=0.5", "transitions", "attempts")
    ]

    statuses = [api.get(path, headers=stranger).status_code for path in paths]
    statuses.append(api.post(f"/api/v1/jobs/{job.id}/cancel", headers=stranger).status_code)
    statuses.append(api.submit(dataset.id, headers=stranger).status_code)
    statuses.append(api.post("/api/v1/datasets", json={"source_dataset_id": dataset.id}, headers=stranger).status_code)

    assert set(statuses) == {404}
    assert api.get("/api/v1/jobs", headers=stranger).json()["data"] == []
    assert api.get("/api/v1/datasets", headers=stranger).json()["data"] == []

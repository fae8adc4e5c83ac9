"""Pages as the server writes them, before any script runs: what they hold, who sees them, and how refusals look."""

import json
import re
import shlex
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest

from counterweight.contracts.jobs import JobSpec, ResolvedSpec
from counterweight.contracts.workers import WorkerSlot
from counterweight.settings import ServerSettings
from service.api.app import make_app
from service.domain.submission import DatasetChoices, settle, usual
from service.persistence import datasets, keys
from service.persistence.database import Database
from service.persistence.files import Files
from service.persistence.tables import DEFAULT_PROJECT
from service.web.samples import asked, samples_of
from tests.api.conftest import Api
from tests.api.test_guard import make_key
from tests.factories import make_agent, make_dataset, make_job, make_project

BOTH = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

MARKUP = "<script>alert(1)</script>"


@BOTH
def test_a_browser_is_sent_to_the_dashboard_and_a_program_is_not(api: Api) -> None:
    browser = api.get("/", headers={"Accept": "text/html,application/xhtml+xml"})
    program = api.get("/", headers={"Accept": "application/json"})

    assert (browser.status_code, browser.headers["location"]) == (303, "/ui/jobs")
    assert program.json()["service"] == "counterweight"
    assert api.get("/ui/jobs").status_code == 200


@SQLITE
@pytest.mark.parametrize("path", ["/ui/jobs", "/ui/studies", "/ui/datasets", "/ui/losses", "/ui/workers", "/ui/nothing"])
def test_pages_run_nothing_but_our_own_scripts(api: Api, path: str) -> None:
    answer = api.get(path)

    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert (policy["default-src"], policy["script-src"], policy["style-src"]) == ("'none'", "'self'", "'self'")
    assert (policy["frame-ancestors"], policy["form-action"], policy["base-uri"]) == ("'none'", "'self'", "'none'")
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script>|javascript:", answer.text)
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", answer.text)


@BOTH
def test_the_table_of_jobs_shows_each_with_its_dataset(api: Api, database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session, name="cards.csv")
        make_job(session, dataset, name="first try", loss={"kind": "focal", "gamma": 3.0})
        make_job(session, dataset, name="second try", state="failed")

    text = api.get("/ui/jobs").text

    assert "first try" in text
    assert "γ 3" in text
    assert text.index("second try") < text.index("first try")
    assert text.count(">cards.csv<") == 2


@BOTH
def test_filter_order_and_page_stand_in_the_address(api: Api, database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session)
        for name in ("b", "a", "c"):
            make_job(session, dataset, name=f"job {name}", labels={"team": "risk"} if name != "c" else {})

    text = api.get(f"/ui/jobs?{urlencode({'filter': 'labels.team = risk', 'sort': 'name'})}").text

    assert re.findall(r'row-link"[^>]*>job (\w)<', text) == ["a", "b"]


@SQLITE
def test_a_filter_that_cannot_be_read_is_told_of_under_its_box(api: Api) -> None:
    answer = api.get("/ui/jobs?filter=stat+%3D+running")

    assert answer.status_code == 200
    assert "column 1" in answer.text
    assert 'value="stat = running"' in answer.text


@BOTH
@pytest.mark.parametrize("state", ["queued", "running", "cancelling", "succeeded", "failed", "cancelled"])
@pytest.mark.parametrize("part", ["", "/evaluation", "/spec", "/log"])
def test_every_page_of_a_job_stands_in_every_state(api: Api, database: Database, state: str, part: str) -> None:
    with database.write() as session:
        job = make_job(session, state=state)  # type: ignore[arg-type]  # One of the states above.

    answer = api.get(f"/ui/jobs/{job.id}{part}")

    assert answer.status_code == 200
    assert ("data-opens=" in answer.text) == (state in ("queued", "running"))
    assert ("/retry" in answer.text) == (state in ("succeeded", "failed", "cancelled"))


@BOTH
@pytest.mark.parametrize("state", ["processing", "ready", "failed"])
def test_the_page_of_a_dataset_stands_in_every_state(api: Api, database: Database, state: str) -> None:
    with database.write() as session:
        dataset = make_dataset(session, state=state)  # type: ignore[arg-type]  # One of the states above.

    answer = api.get(f"/ui/datasets/{dataset.id}")

    assert answer.status_code == 200
    assert ("Compare them" in answer.text) == (state == "ready")
    assert dataset.name in api.get("/ui/datasets").text


@SQLITE
def test_the_page_of_images_offers_what_trains_on_them(api: Api, database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session, columns={"image": "image", "file": "text", "label": "categorical"})
        dataset.kind, dataset.format, dataset.image_size = "image", "zip", 32

    page = api.get(f"/ui/datasets/{dataset.id}").text

    assert "images of 32 x 32 pixels" in page
    assert '<option value="resnet">' in page
    assert '<option value="mlp">' not in page


def test_settings_that_are_not_the_default_stand_out(api: Api, database: Database) -> None:
    with database.write() as session:
        job = make_job(session, loss={"kind": "focal", "gamma": 2.0}, training={"max_epochs": 7})

    text = api.get(f"/ui/jobs/{job.id}/spec").text

    changed = re.findall(r'<tr class="changed"><td><code>([\w.]+)</code></td><td class="spec-value">([^<]*)<', text)
    assert ("max_epochs", "7") in changed
    assert ("kind", "focal") in changed
    assert "learning_rate" not in dict(changed)
    assert "gamma" not in dict(changed)


@SQLITE
@pytest.mark.parametrize(
    ("fields", "stand_out"),
    [
        ({}, []),
        ({"learner": {"kind": "tabm", "members": 4}}, ["members"]),
        ({"learner": {"kind": "linear"}}, ["kind"]),
        ({"learner": {"kind": "mlp", "numeric_embedding": "none"}}, ["kind", "numeric_embedding"]),
        ({"training": {"early_stopping": None}}, ["early_stopping"]),
        ({"training": {"early_stopping": {"metric": "average_precision"}}}, ["early_stopping.metric"]),
        ({"training": {"optimizer": "sgd"}}, ["optimizer"]),
        ({"training": {"optimizer": "sgd", "learning_rate": 0.003}}, ["learning_rate", "optimizer"]),
        ({"training": {"batch_size": 48, "precision": "float32"}}, ["batch_size", "precision"]),
        ({"resources": {"device": "cpu"}, "evaluation": {"positive_label": "good"}}, ["device", "positive_label"]),
    ],
    ids=["nothing", "members", "linear", "mlp", "no stopping", "its metric", "sgd", "sgd's rate", "batch", "evaluation"],
)
def test_what_was_asked_for_stands_out_and_its_code_is_the_same_job(
    api: Api, database: Database, fields: dict[str, object], stand_out: list[str]
) -> None:
    with database.write() as session:
        dataset = make_dataset(session, classes={"good": 900, "bad": 100})
        facts, choices = datasets.facts(dataset), DatasetChoices.of(dataset.name, dataset.options)
        spec, _ = settle(JobSpec.model_validate({"dataset_id": dataset.id, **fields}), facts, choices)
        job = make_job(session, dataset, **{name: getattr(spec, name) for name in ResolvedSpec.model_fields if name != "name"})

    page = api.get(f"/ui/jobs/{job.id}/spec").text
    again, _ = settle(JobSpec.model_validate(asked(job.spec, usual(job.spec, facts))), facts, choices)

    assert sorted(re.findall(r'<tr class="changed"><td><code>([\w.]+)</code>', page)) == stand_out
    assert again.model_dump(exclude={"name"}) == job.spec.model_dump(exclude={"name"})


@SQLITE
def test_a_job_that_would_be_refused_by_now_still_has_its_specification(api: Api, database: Database) -> None:
    with database.write() as session:
        job = make_job(session, make_dataset(session, classes={"good": 900, "bad": 100}), split={"kind": "column", "column": "gone"})

    page = api.get(f"/ui/jobs/{job.id}/spec")

    assert page.status_code == 200
    assert '<td class="spec-value">gone</td>' in page.text


@SQLITE
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"loss": {"kind": "focal", "gamma": 3.0, "alpha": "balanced"}, "training": {"max_epochs": 7, "early_stopping": None}},
        {"split": {"kind": "column", "column": "part"}, "evaluation": {"threshold": {"policy": "recall_floor", "recall": 0.8}}},
    ],
)
def test_the_code_of_a_job_asks_for_the_same_job(database: Database, fields: dict[str, object]) -> None:
    with database.write() as session:
        spec = make_job(session, name="it's", labels={"team": "risk"}, **fields).spec  # type: ignore[arg-type]  # As JSON has them.

    again = JobSpec.model_validate(asked(spec))

    assert again.model_dump() == spec.model_dump()
    shell = shlex.split(samples_of(spec, None, "http://localhost")["curl"])
    assert json.loads(shell[-1]) == asked(spec)


@SQLITE
def test_names_with_markup_stay_names(api: Api, database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session, name=MARKUP, classes={MARKUP: 5, "b": 9}, columns={MARKUP: "numeric", "label": "categorical"})
        job = make_job(session, dataset, name=MARKUP, labels={"x": MARKUP})

    pages = [f"/ui/jobs/{job.id}", f"/ui/jobs/{job.id}/spec", f"/ui/datasets/{dataset.id}", "/ui/jobs", "/ui/datasets"]

    for path in [*pages, f"/ui/jobs?{urlencode({'filter': MARKUP})}", f"/ui/jobs/{MARKUP}"]:
        text = api.get(path).text
        assert MARKUP not in text
        assert "&lt;script&gt;" in text


@BOTH
def test_a_job_is_cancelled_from_its_page(api: Api, database: Database) -> None:
    with database.write() as session:
        job = make_job(session, state="queued")

    answer = api.post(f"/ui/jobs/{job.id}/cancel", data={})
    again = api.post(f"/ui/jobs/{job.id}/cancel", data={})

    assert (answer.status_code, answer.headers["location"]) == (303, f"/ui/jobs/{job.id}")
    assert api.get(f"/api/v1/jobs/{job.id}").json()["state"] == "cancelled"
    assert (again.status_code, "is for one that is queued or running" in again.text) == (409, True)


@BOTH
def test_a_job_is_run_again_from_its_page(api: Api, database: Database) -> None:
    with database.write() as session:
        job = make_job(session, state="failed", name="first")

    answer = api.post(f"/ui/jobs/{job.id}/retry", data={})

    again = api.get(answer.headers["location"].replace("/ui/", "/api/v1/")).json()
    assert (again["retry_of"], again["state"], again["name"]) == (job.id, "queued", "first")
    assert job.id in api.get(answer.headers["location"]).text


@SQLITE
@pytest.mark.parametrize("path", ["/ui/nothing", "/ui/jobs/job_1", "/ui/datasets/ds_1", "/ui/jobs/a/b/c"])
def test_what_is_not_there_is_a_page_too(api: Api, path: str) -> None:
    answer = api.get(path)

    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["x-request-id"] in answer.text


@SQLITE
def test_things_of_another_project_have_no_page(api: Api, database: Database) -> None:
    with database.write() as session:
        job = make_job(session)
        dataset = make_dataset(session)
        stranger_id = make_project(session).id
    stranger = make_key(database, project_id=stranger_id)

    paths = [f"/ui/jobs/{job.id}{part}" for part in ("", "/evaluation", "/spec")] + [f"/ui/datasets/{dataset.id}"]
    statuses = {api.get(path, headers=stranger).status_code for path in paths}

    assert statuses == {404}
    assert job.id not in api.get("/ui/jobs", headers=stranger).text


@SQLITE
def test_without_a_key_every_page_leads_to_the_sign_in(api: Api, database: Database) -> None:
    make_key(database)

    answer = api.get("/ui/jobs?filter=state+%3D+failed")

    assert answer.status_code == 303
    assert answer.headers["location"] == "/ui/sign-in?next=%2Fui%2Fjobs%3Ffilter%3Dstate%2B%253D%2Bfailed"
    assert api.get("/ui/jobs", headers={"HX-Request": "true"}).headers["hx-redirect"] == "/ui/sign-in"


@BOTH
def test_a_key_is_traded_for_a_cookie_that_scripts_cannot_read(api: Api, database: Database) -> None:
    secret = make_key(database)["Authorization"].removeprefix("Bearer ")

    answer = api.post("/ui/sign-in", data={"key": f" {secret} ", "next": "/ui/datasets"})

    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/datasets")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Secure" not in cookie
    assert api.get("/ui/jobs").status_code == 200
    assert api.get("/api/v1/jobs").status_code == 200


@SQLITE
def test_the_cookie_is_for_encrypted_requests_only_where_the_page_is(api: Api, database: Database) -> None:
    secret = make_key(database)["Authorization"].removeprefix("Bearer ")

    # A proxy ends the encryption: the request that arrives here is plain, but the browser says how it sees us.
    answer = api.post("/ui/sign-in", data={"key": secret}, headers={"Origin": "https://localhost"})

    assert "Secure" in answer.headers["set-cookie"]


@SQLITE
@pytest.mark.parametrize("key", ["", "cw_wrong", "cw_\u00e9"])
def test_a_wrong_key_does_not_sign_in(api: Api, database: Database, key: str) -> None:
    make_key(database)

    answer = api.post("/ui/sign-in", data={"key": key})

    assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)
    assert "unknown, expired or revoked" in answer.text


@SQLITE
@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "/ui/\\evil", "javascript:alert(1)", "/ui/\r\nX: y"])
def test_signing_in_leads_to_no_other_site(api: Api, database: Database, target: str) -> None:
    secret = make_key(database)["Authorization"].removeprefix("Bearer ")

    answer = api.post("/ui/sign-in", data={"key": secret, "next": target})

    assert answer.headers["location"] == "/ui/jobs"


@BOTH
def test_a_revoked_key_s_cookie_opens_nothing(api: Api, database: Database) -> None:
    make_key(database)
    secret = make_key(database)["Authorization"].removeprefix("Bearer ")
    api.post("/ui/sign-in", data={"key": secret})
    before = api.get("/ui/jobs").status_code
    newest = api.get("/api/v1/api-keys").json()["data"][0]["id"]

    api.ask("DELETE", f"/api/v1/api-keys/{newest}")

    assert (before, api.get("/ui/jobs").status_code, api.get("/api/v1/jobs").status_code) == (200, 303, 401)


@SQLITE
def test_signing_out_forgets_the_cookie(api: Api, database: Database) -> None:
    secret = make_key(database)["Authorization"].removeprefix("Bearer ")
    api.post("/ui/sign-in", data={"key": secret})

    answer = api.post("/ui/sign-out", data={})

    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/sign-in")
    assert api.get("/ui/jobs").status_code == 303


@SQLITE
def test_a_foreign_page_may_not_use_the_cookie(api: Api, database: Database) -> None:
    secret = make_key(database)["Authorization"].removeprefix("Bearer ")
    api.post("/ui/sign-in", data={"key": secret})
    with database.write() as session:
        job = make_job(session, state="queued")

    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        for path in (f"/ui/jobs/{job.id}/cancel", "/ui/sign-in", "/ui/sign-out", "/api/v1/jobs"):
            assert api.post(path, data={}, headers=headers).status_code == 403


@SQLITE
def test_a_reader_s_cookie_does_not_cancel(api: Api, database: Database) -> None:
    secret = make_key(database, "read")["Authorization"].removeprefix("Bearer ")
    api.post("/ui/sign-in", data={"key": secret})
    with database.write() as session:
        job = make_job(session, state="queued")

    assert api.get(f"/ui/jobs/{job.id}").status_code == 200
    assert api.post(f"/ui/jobs/{job.id}/cancel", data={}).status_code == 403


@SQLITE
def test_a_bearer_header_counts_before_a_cookie(api: Api, database: Database) -> None:
    secret = make_key(database)["Authorization"].removeprefix("Bearer ")
    api.post("/ui/sign-in", data={"key": secret})

    assert api.get("/api/v1/jobs", headers={"Authorization": "Bearer cw_wrong"}).status_code == 401


@SQLITE
def test_where_no_key_exists_there_is_nothing_to_sign_in_to(api: Api) -> None:
    answer = api.get("/ui/sign-in?next=/ui/losses")

    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/losses")


@SQLITE
def test_the_sign_in_is_shown_where_others_can_reach_the_server(settings: ServerSettings, database: Database, files: Files) -> None:
    api = Api(make_app(settings.model_copy(update={"bind": "0.0.0.0:8321"}), database, files))
    with database.read() as session:
        assert keys.page(session, DEFAULT_PROJECT, None, 1) == []

    assert api.get("/ui/sign-in").status_code == 200
    api.close()


@SQLITE
@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [(b"x" * 20_000, "application/x-www-form-urlencoded", 413), (b"{}", "application/json", 415), (b"key=%ff\xff", None, 400)],
)
def test_a_form_that_is_none_is_refused(api: Api, content: bytes, kind: str | None, status: int) -> None:
    headers = {"Content-Type": kind or "application/x-www-form-urlencoded"}

    assert api.post("/ui/sign-in", content=content, headers=headers).status_code == status


@BOTH
def test_the_page_of_workers_shows_who_trains_and_what_waits_for_what(api: Api, database: Database) -> None:
    with database.write() as session:
        agent = make_agent(session, beat_at=datetime.now(UTC), slots=[WorkerSlot(device="cuda:0", threads=1, gpu_memory_bytes=24 * 10**9)])
        dataset = make_dataset(session)
        make_job(session, dataset, state="running", agent=agent)
        waiting = make_job(session, dataset, name="a big one", resources={"min_gpu_memory_gb": 40.0}).id

    text, table = api.get("/ui/workers").text, api.get("/ui/jobs").text
    drained = api.post(f"/ui/workers/{agent.id}/drain")

    assert "cuda:0, 24.0 GB" in text
    assert "a big one" in text
    assert "no worker with 40 GB: the largest GPU of those connected has 24.0 GB" in text
    assert (drained.status_code, drained.headers["location"]) == (303, "/ui/workers")
    assert "draining" in api.get("/ui/workers").text.lower()
    assert "no worker with 40 GB" in table
    assert "draining" in api.get(f"/ui/jobs/{waiting}").text

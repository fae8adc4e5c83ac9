"""The queue, the workers and the projects over HTTP: what waits, for what, who could take it, and how much of it."""

from datetime import UTC, datetime
from typing import Any

from counterweight.contracts.workers import WorkerSlot
from service.persistence import agents, queue
from service.persistence.database import Database
from service.persistence.tables import Job
from tests.api.conftest import Api
from tests.factories import make_agent, make_dataset, make_job, make_project

MERGE = {"Content-Type": "application/merge-patch+json"}


def test_the_queue_lists_what_waits_in_the_order_of_its_turns(api: Api, database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session)
        low, high, middle = (make_job(session, dataset, priority=priority).id for priority in (10, 90, 50))
        make_job(session, dataset, state="running")
        make_job(session, make_dataset(session, project_id=make_project(session).id))
        make_agent(session, beat_at=datetime.now(UTC))

    first = api.get("/api/v1/queue", params={"limit": 2}).json()
    second = api.get("/api/v1/queue", params={"limit": 2, "after": first["next"]}).json()

    assert [job["id"] for job in first["data"] + second["data"]] == [high, middle, low]
    # The other project has nothing running, and goes first.
    assert [job["queue"]["position"] for job in first["data"] + second["data"]] == [1, 2, 3]
    assert (first["queued"], first["running"], first["slots"], first["busy"], second["next"]) == (3, 1, 1, 1, None)
    assert first["limits"] == {"max_running_jobs": None, "max_running_gpus": None, "running_jobs": 1, "running_gpus": 0}


def test_a_page_of_the_queue_goes_on_where_a_job_has_left_it(api: Api, database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session)
        ids = [make_job(session, dataset).id for _ in range(3)]
    first = api.get("/api/v1/queue", params={"limit": 1}).json()
    api.post(f"/api/v1/jobs/{ids[0]}/cancel")

    rest = api.get("/api/v1/queue", params={"after": first["next"]}).json()

    assert [job["id"] for job in rest["data"]] == ids[1:]


def test_workers_are_listed_with_devices_memory_jobs_and_heartbeat(api: Api, database: Database) -> None:
    with database.write() as session:
        slots = [WorkerSlot(device="cuda:0", threads=4, memory_bytes=64_000, gpu_memory_bytes=80_000)]
        agent = make_agent(session, beat_at=datetime.now(UTC), slots=slots)
        silent, gone = make_agent(session), make_agent(session)
        blocked = make_agent(session, beat_at=datetime.now(UTC))
        agents.block(session, blocked.id, "its cluster does not answer")
        agents.retire(session, gone.id, "drained", datetime.now(UTC))
        mine = make_job(session, state="running", agent=agent)
        make_job(session, make_dataset(session, project_id=make_project(session).id), state="running", agent=agent)

    listed = api.get("/api/v1/workers").json()["data"]

    assert [(worker["id"], worker["state"]) for worker in listed] == [(agent.id, "ready"), (silent.id, "silent"), (blocked.id, "blocked")]
    assert [worker["blocked_by"] for worker in listed] == [None, None, "its cluster does not answer"]
    assert listed[0]["devices"] == [{"device": "cuda:0", "threads": 4, "memory_bytes": 64_000, "gpu_memory_bytes": 80_000}]
    # Another project's job is counted, and not named.
    assert (listed[0]["busy"], listed[0]["jobs"], listed[0]["host"]) == (2, [mine.id], "host")
    assert datetime.fromisoformat(listed[0]["heartbeat_at"]).year == datetime.now(UTC).year


def test_a_drained_worker_finishes_what_it_has_and_takes_no_more(api: Api, database: Database) -> None:
    with database.write() as session:
        dataset, agent = make_dataset(session), make_agent(session, beat_at=datetime.now(UTC))
        make_job(session, dataset, state="running", agent=agent)
        waiting = make_job(session, dataset).id

    answer = api.post(f"/api/v1/workers/{agent.id}/drain")
    again = api.post(f"/api/v1/workers/{agent.id}/drain")

    assert (answer.status_code, answer.json()["state"]) == (202, "draining")
    assert again.json()["draining_since"] == answer.json()["draining_since"]
    assert "draining" in api.get(f"/api/v1/jobs/{waiting}").json()["queue"]["blocked_by"][0]
    with database.write() as session:
        assert queue.claim_cohort(session, agent.id, ("auto", "cpu"), datetime.now(UTC)) is None
        assert session.query(Job).filter_by(agent_id=agent.id, state="running").count() == 1


def test_a_worker_that_is_not_there_cannot_be_drained(api: Api) -> None:
    answer = api.post("/api/v1/workers/agt_nobody/drain")

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_a_limit_of_a_project_is_set_told_and_taken_away(api: Api, database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session)
        make_job(session, dataset, state="running", agent=make_agent(session, beat_at=datetime.now(UTC)))
        waiting = make_job(session, dataset).id

    limited = api.ask("PATCH", "/api/v1/projects/prj_default", json={"max_running_jobs": 1}, headers=MERGE).json()
    told = api.get(f"/api/v1/jobs/{waiting}").json()["queue"]["blocked_by"]
    freed = api.ask("PATCH", "/api/v1/projects/prj_default", json={"max_running_jobs": None}, headers=MERGE).json()

    assert limited["limits"] == {"max_running_jobs": 1, "max_running_gpus": None, "running_jobs": 1, "running_gpus": 0}
    assert told[0].startswith("project limit 1 reached")
    assert (freed["limits"]["max_running_jobs"], freed["queued_jobs"]) == (None, 1)
    assert [job["queue"]["blocked_by"] for job in api.get("/api/v1/queue").json()["data"]] == [[]]


def test_what_concerns_all_projects_needs_an_admin_of_the_default_one(api: Api, database: Database) -> None:
    with database.write() as session:
        agent = make_agent(session, beat_at=datetime.now(UTC)).id
    operator = _key_of(api, None, scope="admin")
    other = api.post("/api/v1/projects", json={"name": "other", "max_running_jobs": 2}, headers=operator).json()["id"]
    admin = _key_of(api, operator, scope="admin", project=other)

    assert api.post(f"/api/v1/workers/{agent}/drain", headers=admin).status_code == 403
    assert api.ask("PATCH", f"/api/v1/projects/{other}", json={"max_running_jobs": 9}, headers=MERGE | admin).status_code == 403
    assert api.post("/api/v1/api-keys", json={"name": "theirs", "project": "prj_default"}, headers=admin).status_code == 403
    assert api.get("/api/v1/projects/prj_default", headers=admin).status_code == 404
    assert [project["id"] for project in api.get("/api/v1/projects", headers=admin).json()["data"]] == [other]
    assert len(api.get("/api/v1/projects", headers=operator).json()["data"]) == 2


def test_a_key_made_for_another_project_works_in_that_one(api: Api) -> None:
    operator = _key_of(api, None, scope="admin")
    other = api.post("/api/v1/projects", json={"name": "other"}, headers=operator).json()["id"]

    made = api.post("/api/v1/api-keys", json={"name": "theirs", "project": other}, headers=operator).json()

    assert made["project"] == other
    assert api.get("/api/v1/projects", headers={"Authorization": f"Bearer {made['key']}"}).json()["data"][0]["id"] == other
    assert api.ask("DELETE", f"/api/v1/api-keys/{made['id']}", headers=operator).status_code == 200


def test_several_gpus_wait_for_a_host_that_has_as_many_and_gpu_memory_of_a_processor_is_refused(api: Api, database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session).id
        make_agent(session, beat_at=datetime.now(UTC), slots=[WorkerSlot(device=f"cuda:{index}", threads=1) for index in range(2)])

    fitting, large = (api.submit(dataset, resources={"gpus": gpus}).json() for gpus in (2, 4))
    contradiction = api.submit(dataset, resources={"device": "cpu", "min_gpu_memory_gb": 40.0}).json()

    assert [job["queue"]["blocked_by"] for job in (fitting, large)] == [
        [],
        ["no worker with 4 GPUs for one job: of those connected, the largest has 2 that would do"],
    ]
    assert contradiction["errors"][0]["pointer"] == "/resources/min_gpu_memory_gb"


def _key_of(api: Api, maker: dict[str, str] | None, **fields: Any) -> dict[str, str]:
    made = api.post("/api/v1/api-keys", json={"name": "a key", **fields}, headers=maker)
    assert made.status_code == 201, made.text
    return {"Authorization": f"Bearer {made.json()['key']}"}

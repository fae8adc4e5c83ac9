"""Studies over HTTP: what is made, what is refused and where, and how the state follows the jobs."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import event, func, select, update

from counterweight.contracts.splits import StratifiedSplit
from counterweight.contracts.studies import StudySpec, StudyView
from service.domain.studies import settle
from service.domain.submission import SGD_LEARNING_RATE, DatasetChoices
from service.persistence import events
from service.persistence.database import Database
from service.persistence.tables import Event, FinalMetric, Job, Study
from tests.api.conftest import Api
from tests.api.test_submission import facts
from tests.factories import make_agent, make_dataset, make_project, next_moment

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
LOSSES = [{"kind": "cross_entropy"}, {"kind": "focal", "gamma": 1.0}, {"kind": "focal", "gamma": 2.0}]


def dataset_id(database: Database, **changes: Any) -> str:
    with database.write() as session:
        return make_dataset(session, **changes).id


def create(api: Api, dataset: str, headers: dict[str, str] | None = None, dry_run: bool = False, **changes: Any) -> httpx.Response:
    body = {"losses": LOSSES, "seeds": [0, 1]} | changes
    body["base"] = {"dataset_id": dataset} | changes.get("base", {})
    return api.post("/api/v1/studies", params={"dry_run": dry_run}, json=body, headers=headers)


def made(api: Api, database: Database, **changes: Any) -> StudyView:
    answer = create(api, dataset_id(database), **changes)
    assert answer.status_code == 201, answer.text
    return StudyView.model_validate(answer.json())


def end(database: Database, study_id: str, *states: str, value: float | None = None) -> None:
    """End the study's queued jobs, the first ones first, each in the state given for it."""
    with database.write() as session:
        queued = select(Job).where(Job.study_id == study_id, Job.state == "queued").order_by(Job.id)
        for job, state in zip(session.scalars(queued.limit(len(states))).all(), states, strict=True):
            job.agent_id = make_agent(session).id
            events.move_job(session, job, "running", "claimed", next_moment())
            if state == "succeeded" and value is not None:
                session.add(FinalMetric(job_id=job.id, name="test/average_precision", value=value))
            if state != "running":
                events.move_job(session, job, state, state, next_moment())  # type: ignore[arg-type]


def test_a_study_makes_a_job_of_each_loss_and_seed(api: Api, database: Database) -> None:
    study = made(api, database, name="which loss", labels={"team": "risk"}, base={"priority": 70, "labels": {"kind": "churn"}})

    listed = api.get("/api/v1/jobs", params={"filter": f"study_id = {study.id}", "sort": "created_at"}).json()["data"]

    assert (study.state, study.phase, study.counts, study.allowed_actions) == ("running", "training", {"queued": 6}, ["cancel", "pause"])
    assert [row.arm for row in study.leaderboard] == ["cross_entropy", "focal(gamma=1)", "focal(gamma=2)"]
    assert [(job["spec"]["loss"]["kind"], job["spec"]["training"]["seed"]) for job in listed] == [
        *(("cross_entropy", 0), ("focal", 0), ("focal", 0)),
        *(("cross_entropy", 1), ("focal", 1), ("focal", 1)),
    ]
    assert {job["spec"]["split"]["seed"] for job in listed} == {0}
    assert listed[0]["name"] == "which loss: cross_entropy, seed 0"
    assert {job["spec"]["priority"] for job in listed} == {70}
    assert all(job["labels"] == {"team": "risk", "kind": "churn"} for job in listed)
    assert sorted(job_id for row in study.leaderboard for job_id in row.job_ids) == [job["id"] for job in listed]


def test_every_combination_of_varied_settings_is_an_arm(api: Api, database: Database) -> None:
    vary = {"training.learning_rate": [0.001, 0.01], "learner.width": [16, 32]}

    study = made(api, database, vary=vary, losses=LOSSES[:2])

    with database.read() as session:
        specs = session.scalars(select(Job.spec).where(Job.study_id == study.id)).all()
    assert len(specs) == 2 * 4 * 2
    assert study.leaderboard[0].arm == "cross_entropy, learning_rate=0.001, width=16"
    assert study.leaderboard[0].settings == {"training.learning_rate": 0.001, "learner.width": 16}
    settings = {(spec.training.learning_rate, getattr(spec.learner, "width", None)) for spec in specs}
    assert settings == {(0.001, 16), (0.001, 32), (0.01, 16), (0.01, 32)}


def test_varying_one_setting_leaves_the_others_open(api: Api, database: Database) -> None:
    base = {"training": {"optimizer": "sgd"}, "learner": {"kind": "tabm"}}

    study = made(api, database, vary={"training.weight_decay": [0.0, 0.01]}, losses=LOSSES[:1], base=base)

    with database.read() as session:
        trainings = [spec.training for spec in session.scalars(select(Job.spec).where(Job.study_id == study.id))]
    assert {training.learning_rate for training in trainings} == {SGD_LEARNING_RATE}
    assert {training.early_stopping and training.early_stopping.metric for training in trainings} == {"log_loss"}


def test_folds_run_each_seed_on_every_fold_of_the_same_division(api: Api, database: Database) -> None:
    study = made(api, database, folds=3, losses=LOSSES[:1], seeds=[7], base={"split": {"kind": "stratified", "seed": 5}})

    with database.read() as session:
        jobs = session.execute(select(Job.study_place, Job.spec).where(Job.study_id == study.id).order_by(Job.study_place)).all()
    assert [(place, spec.training.seed, spec.split) for place, spec in jobs] == [
        (fold, 7, StratifiedSplit(seed=5, folds=3, fold=fold, test=1 / 3)) for fold in range(3)
    ]


@SQLITE
@pytest.mark.parametrize(
    ("changes", "pointer", "told"),
    [
        ({"losses": [LOSSES[0], {"kind": "focal", "gamma": -1}]}, "/losses/1/gamma", "greater than or equal to 0"),
        ({"losses": [LOSSES[0], {"kind": "focl"}]}, "/losses/1/kind", "did you mean 'focal'? Choose one of"),
        ({"losses": [LOSSES[0], LOSSES[1], LOSSES[1]]}, "/losses/2", "same as /losses/1"),
        ({"losses": [LOSSES[0], {"kind": "focal", "alpha": {"nobody": 0.5}}]}, "/losses/1/alpha", "nobody"),
        ({"losses": []}, "/losses", "at least 1"),
        ({"seeds": [3, 4, 3]}, "/seeds/2", "same as /seeds/0"),
        ({"seeds": [1]}, "/seeds", "2 seeds or more"),
        ({"seeds": list(range(700))}, "/losses", "2,100 jobs"),
        ({"folds": 1}, "/folds", "greater than or equal to 2"),
        ({"folds": 101}, "/folds", "less than or equal to 100"),
        ({"folds": 90, "seeds": list(range(10))}, "/losses", "2,700 jobs"),
        ({"folds": 3, "base": {"split": {"kind": "stratified", "test": 0.3}}}, "/base/split/test", "leave test out"),
        ({"folds": 2, "base": {"split": {"kind": "stratified", "validation": 0.5}}}, "/base/split/validation", "no rows to train on"),
        ({"folds": 3, "base": {"split": {"kind": "time", "column": "age"}}}, "/base/split/kind", "time has no folds"),
        ({"metric": "macro_f1"}, "/metric", "choose f1"),
        ({"metric": "auc"}, "/metric", "Input should be"),
        ({"minimum_difference": -0.1}, "/minimum_difference", "greater than or equal to 0"),
        ({"base": {"loss": {"kind": "focal"}}}, "/base/loss", "not a field"),
        ({"base": {"target": "city"}}, "/base/target", "not 'city'"),
        ({"base": {"learner": {"kind": "linear"}}, "losses": [LOSSES[0], {"kind": "ldam"}]}, "/base/learner", "linear"),
        ({"vary": {"training.momentum": [0.9]}}, "/vary/training.momentum", "Input should be"),
        ({"vary": {"training.learning_rate": [0.01, -1]}}, "/vary/training.learning_rate/1", "greater than 0"),
        ({"vary": {"training.learning_rate": [0.01, 0.01]}}, "/vary/training.learning_rate/1", "same as"),
        ({"vary": {"training.learning_rate": []}}, "/vary/training.learning_rate", "at least 1"),
        ({"vary": {"learner.width": [16, 16.5]}}, "/vary/learner.width/1", "integer"),
        ({"vary": {"learner.width": [16]}, "base": {"learner": {"kind": "linear"}}}, "/vary/learner.width/0", "linear has no width"),
    ],
)
def test_what_is_wrong_is_told_where_it_is(api: Api, database: Database, changes: dict[str, Any], pointer: str, told: str) -> None:
    answer = create(api, dataset_id(database), **changes)

    assert answer.status_code == 422, answer.text
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert told in answer.json()["errors"][0]["message"]
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Job)) == 0


@SQLITE
def test_a_dataset_that_is_not_ready_or_not_there_is_refused(api: Api, database: Database) -> None:
    processing = create(api, dataset_id(database, state="processing"))
    failed = create(api, dataset_id(database, state="failed"))
    with database.write() as session:
        foreign = make_dataset(session, project_id=make_project(session).id).id

    assert (processing.status_code, processing.json()["code"]) == (409, "dataset_not_ready")
    assert failed.json()["errors"][0]["pointer"] == "/base/dataset_id"
    assert create(api, foreign).status_code == 404


def test_a_dry_run_makes_nothing(api: Api, database: Database) -> None:
    answer = create(api, dataset_id(database), dry_run=True)

    assert (answer.status_code, answer.json()["object"], answer.json()["jobs"]) == (200, "study_plan", 6)
    assert [arm["arm"] for arm in answer.json()["arms"]] == ["cross_entropy", "focal(gamma=1)", "focal(gamma=2)"]
    assert answer.json()["memory"]["bytes"] > 0
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Job)) == session.scalar(select(func.count()).select_from(Study)) == 0


def test_a_repeat_under_the_same_key_makes_one_study(api: Api, database: Database) -> None:
    dataset, once = dataset_id(database), {"Idempotency-Key": "k"}

    first, again = create(api, dataset, headers=once), create(api, dataset, headers=once)
    other = create(api, dataset, headers=once, seeds=[5, 6])

    assert (again.status_code, again.headers["idempotency-replayed"], again.content) == (201, "true", first.content)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Study)) == 1


@SQLITE
def test_with_several_classes_the_mean_over_them_decides_and_the_study_says_so(api: Api, database: Database) -> None:
    dataset = dataset_id(database, classes={"a": 500, "b": 300, "c": 200})

    study = create(api, dataset).json()

    assert study["metric"] == "macro_average_precision"
    assert study["notes"] == [
        "with 3 classes average_precision is macro_average_precision: the mean over the classes, each against the rest"
    ]
    assert create(api, dataset, metric="specificity").json()["errors"][0]["pointer"] == "/metric"


@SQLITE
@pytest.mark.parametrize(("good", "warns"), [(1000, False), (1001, True)])
def test_selecting_by_accuracy_among_unequal_classes_warns(api: Api, database: Database, good: int, warns: bool) -> None:
    study = create(api, dataset_id(database, classes={"good": good, "bad": 100}), metric="accuracy").json()

    assert any("accuracy" in note for note in study["notes"]) == warns


@SQLITE
def test_losses_that_are_the_same_function_are_told(api: Api, database: Database) -> None:
    study = made(api, database, losses=[{"kind": "cross_entropy"}, {"kind": "focal", "gamma": 0.0}, {"kind": "focal"}])

    assert study.notes == ["focal(gamma=0) comes to the same loss as cross_entropy on these classes: only chance can set them apart"]


def test_the_leaderboard_follows_the_jobs_that_end(api: Api, database: Database) -> None:
    study = made(api, database)
    end(database, study.id, "succeeded", "succeeded", value=0.5)
    end(database, study.id, "succeeded", value=0.7)
    end(database, study.id, "succeeded", value=0.6)

    now = StudyView.model_validate(api.get(f"/api/v1/studies/{study.id}").json())

    assert now.counts == {"queued": 2, "succeeded": 4}
    assert [(row.arm, row.rank, row.mean, row.runs, row.reason) for row in now.leaderboard] == [
        ("focal(gamma=2)", 1, 0.7, 1, "provisional"),
        ("cross_entropy", 2, pytest.approx(0.55), 2, "provisional"),
        ("focal(gamma=1)", 3, 0.5, 1, "provisional"),
    ]
    assert now.version == study.version + 4


def test_a_study_whose_last_job_has_ended_waits_to_be_compared(api: Api, database: Database) -> None:
    study = made(api, database, losses=LOSSES[:1])
    end(database, study.id, "succeeded")
    before = api.get(f"/api/v1/studies/{study.id}").json()["phase"]

    end(database, study.id, "succeeded")

    now = api.get(f"/api/v1/studies/{study.id}").json()
    assert (before, now["phase"], now["state"], now["counts"]) == ("training", "comparing", "running", {"succeeded": 2})


def test_a_study_of_which_nothing_can_be_compared_fails(api: Api, database: Database) -> None:
    study = made(api, database)

    end(database, study.id, "succeeded", "failed", "failed", "failed", "succeeded", "failed", value=0.5)

    now = api.get(f"/api/v1/studies/{study.id}").json()
    assert (now["state"], now["is_terminal"], now["error"]["code"]) == ("failed", True, "too_few_runs")
    assert now["allowed_actions"] == ["retry", "delete"]
    assert {row["reason"] for row in now["leaderboard"]} == {"not_compared", "no_runs"}


def test_cancelling_ends_what_waits_and_stops_what_runs(api: Api, database: Database) -> None:
    study = made(api, database)
    end(database, study.id, "running")

    cancelled = api.post(f"/api/v1/studies/{study.id}/cancel")
    again = api.post(f"/api/v1/studies/{study.id}/cancel")
    with database.write() as session:
        job = session.scalars(select(Job).where(Job.study_id == study.id, Job.state == "cancelling")).one()
        events.move_job(session, job, "cancelled", "stopped", next_moment())

    assert (cancelled.status_code, cancelled.json()["counts"]) == (202, {"cancelled": 5, "cancelling": 1})
    assert (cancelled.json()["state"], again.status_code, again.json()["allowed_actions"]) == ("running", 409, [])
    assert api.get(f"/api/v1/studies/{study.id}").json()["state"] == "cancelled"


def test_cancelling_a_study_of_which_nothing_runs_ends_it_at_once(api: Api, database: Database) -> None:
    study = made(api, database)

    answer = api.post(f"/api/v1/studies/{study.id}/cancel").json()

    assert (answer["state"], answer["counts"], answer["finished_at"] is not None) == ("cancelled", {"cancelled": 6}, True)


def test_a_retry_trains_anew_what_failed_and_keeps_the_rest(api: Api, database: Database) -> None:
    study = made(api, database, losses=LOSSES[:2])
    end(database, study.id, "succeeded", "failed", "succeeded", "failed")
    path = f"/api/v1/studies/{study.id}"
    comparing = api.post(f"{path}/retry")
    api.post(f"{path}/cancel")
    before = api.get(path).json()

    again = api.post(f"{path}/retry").json()

    with database.read() as session:
        jobs = session.scalars(select(Job).where(Job.study_id == study.id).order_by(Job.study_place, Job.study_arm)).all()
        left = session.scalars(select(Job).where(Job.study_id.is_(None)).order_by(Job.id)).all()
    assert comparing.status_code == 409
    assert (before["state"], before["allowed_actions"]) == ("cancelled", ["retry", "delete"])
    assert (again["state"], again["phase"], again["counts"], again["allowed_actions"]) == (
        "running",
        "training",
        {"succeeded": 2, "queued": 2},
        ["cancel", "pause"],
    )
    assert [(job.study_arm, job.study_place, job.state) for job in jobs] == [
        (0, 0, "succeeded"),
        (1, 0, "queued"),
        (0, 1, "succeeded"),
        (1, 1, "queued"),
    ]
    assert [job.retry_of for job in jobs if job.state == "queued"] == [job.id for job in left]
    end(database, study.id, "succeeded", "succeeded")
    assert api.get(path).json()["phase"] == "comparing"


@SQLITE
def test_a_study_of_which_all_went_well_is_not_retried(api: Api, database: Database) -> None:
    study = made(api, database, losses=LOSSES[:1])
    end(database, study.id, "succeeded", "succeeded")
    with database.write() as session:
        events.move_study(session, session.get_one(Study, study.id), "succeeded", "compared", next_moment())

    answer = api.post(f"/api/v1/studies/{study.id}/retry")

    assert (answer.status_code, answer.json()["allowed_actions"]) == (409, ["delete"])


@pytest.mark.parametrize(
    ("split", "folds", "told"),
    [
        ({"kind": "time", "column": "age"}, None, "neighbouring times"),
        ({"kind": "group", "column": "city"}, None, "rows of a group"),
        ({"kind": "stratified"}, 3, "3 folds are few"),
    ],
)
def test_what_makes_intervals_too_narrow_is_told(split: dict[str, Any], folds: int | None, told: str) -> None:
    table = facts(columns=[column.model_copy(update={"distinct": 50}) for column in facts().columns])
    spec = StudySpec.model_validate({"base": {"dataset_id": "ds_1", "split": split}, "losses": LOSSES, "folds": folds})

    [note] = settle(spec, table, DatasetChoices("credit.csv", ())).notes

    assert told in note


def test_what_is_known_already_is_not_sent_again(api: Api, database: Database) -> None:
    study = made(api, database)
    path = f"/api/v1/studies/{study.id}"
    tag = api.get(path).headers["etag"]
    same = api.get(path, headers={"If-None-Match": tag})

    end(database, study.id, "succeeded", value=0.5)

    assert (same.status_code, api.get(path, headers={"If-None-Match": tag}).status_code) == (304, 200)


def test_a_study_is_renamed_unless_it_was_changed_meanwhile(api: Api, database: Database) -> None:
    study = made(api, database, labels={"team": "risk"})
    patch = {"Content-Type": "application/merge-patch+json"}
    path, change = f"/api/v1/studies/{study.id}", b'{"name": "other", "labels": {"team": null, "area": "eu"}}'

    stale = api.ask("PATCH", path, content=change, headers=patch | {"If-Match": '"99"'})
    changed = api.ask("PATCH", path, content=change, headers=patch | {"If-Match": f'"{study.version}"'})

    assert stale.status_code == 412
    assert (changed.json()["name"], changed.json()["labels"], changed.json()["version"]) == ("other", {"area": "eu"}, study.version + 1)


def test_the_list_is_of_summaries_in_pages(api: Api, database: Database) -> None:
    dataset = dataset_id(database)
    ids = [create(api, dataset).json()["id"] for _ in range(3)]

    first = api.get("/api/v1/studies", params={"limit": 2}).json()
    second = api.get("/api/v1/studies", params={"limit": 2, "after": first["next"]}).json()

    assert [one["id"] for one in first["data"] + second["data"]] == sorted(ids, reverse=True)
    assert second["next"] is None
    assert first["data"][0]["counts"] == {"queued": 6}
    assert "leaderboard" not in first["data"][0]


def test_only_a_study_that_is_over_is_deleted_and_its_jobs_go_with_it(api: Api, database: Database) -> None:
    study = made(api, database)
    path = f"/api/v1/studies/{study.id}"
    early = api.ask("DELETE", path)
    job_id = study.leaderboard[0].job_ids[0]
    api.post(f"{path}/cancel")
    job = api.ask("DELETE", f"/api/v1/jobs/{job_id}")

    dry = api.ask("DELETE", path, params={"dry_run": True})
    gone = api.ask("DELETE", path)

    assert (early.status_code, early.json()["allowed_actions"]) == (409, ["cancel", "pause"])
    assert (job.status_code, study.id in job.json()["detail"]) == (409, True)
    assert (dry.json()["deleted"], gone.json()["deleted"], gone.json()["object"]) == (False, True, "study")
    assert api.get(path).status_code == api.get(f"/api/v1/jobs/{job_id}").status_code == 404
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Job)) == 0
        assert set(session.scalars(select(Event.kind).where(Event.subject.startswith("job_")))) == {"deletion"}


@SQLITE
def test_another_projects_study_is_not_there(api: Api, database: Database) -> None:
    study = made(api, database)
    with database.write() as session:
        other = make_project(session)
        session.execute(update(Study).values(project_id=other.id))

    paths = [api.get(f"/api/v1/studies/{study.id}"), api.post(f"/api/v1/studies/{study.id}/cancel"), api.get("/api/v1/studies/stu_x")]

    assert [answer.status_code for answer in paths] == [404, 404, 404]
    assert api.get("/api/v1/studies").json()["data"] == []


def test_the_largest_study_takes_no_more_statements_than_a_small_one(api: Api, database: Database) -> None:
    dataset = dataset_id(database)
    many = [{"kind": "focal", "gamma": 0.5 * place} for place in range(10)]

    small, small_steps = _counted(database, lambda: create(api, dataset).json())
    large, large_steps = _counted(database, lambda: create(api, dataset, losses=many, seeds=list(range(200))).json())
    _, small_end = _counted(database, lambda: end(database, small["id"], "succeeded", value=0.5))
    _, large_end = _counted(database, lambda: end(database, large["id"], "succeeded", value=0.5))

    assert (small["jobs"], large["jobs"]) == (6, 2000)
    assert large_steps <= small_steps  # The first request also looks whether keys exist.
    assert large_end <= small_end


def _counted(database: Database, act: Callable[[], Any]) -> tuple[Any, int]:
    """Return what `act` does, and how many statements the connection that writes is sent meanwhile."""
    seen: list[str] = []

    def count(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    event.listen(database.writer, "before_cursor_execute", count)
    found = act()
    event.remove(database.writer, "before_cursor_execute", count)
    return found, len(seen)


@SQLITE
def test_a_held_study_is_shown_as_of_its_last_change(api: Api, database: Database) -> None:
    study = made(api, database)
    with database.write() as session:
        events.note_study(session, session.get_one(Study, study.id), "test", datetime.now(UTC))

    assert api.get(f"/api/v1/studies/{study.id}").json()["version"] == study.version + 1

"""Datasets as they are shown and listed."""

import pytest

from service.persistence.database import Database
from tests.api.conftest import Api
from tests.factories import make_dataset

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def test_a_ready_dataset_shows_what_was_found(api: Api, database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session, classes={"good": 900, "bad": 100})

    shown = api.get(f"/api/v1/datasets/{dataset.id}").json()

    assert (shown["state"], shown["rows"], shown["target"], shown["positive_label"]) == ("ready", 1000, "label", "bad")
    assert shown["imbalance_ratio"] == 9
    assert shown["classes"][1] == {"label": "bad", "count": 100, "fraction": 0.1}


@SQLITE
def test_times_are_utc_with_z(api: Api, database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session)

    assert api.get(f"/api/v1/datasets/{dataset.id}").json()["created_at"].endswith("Z")


@SQLITE
def test_a_failed_dataset_shows_why(api: Api, database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session, state="failed")

    error = api.get(f"/api/v1/datasets/{dataset.id}").json()["error"]

    assert (error["code"], error["detail"]) == ("csv_ragged", "line 3 has 2 cells, not 5")


@SQLITE
def test_an_unknown_dataset_is_not_found(api: Api) -> None:
    assert api.get("/api/v1/datasets/ds_01ARZ3NDEKTSV4RRFFQ69G5FAV").status_code == 404


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_link_to_its_jobs_works(api: Api, database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session)

    assert api.get(dataset_link := api.get(f"/api/v1/datasets/{dataset.id}").json()["links"]["jobs"]).status_code == 200, dataset_link


def test_pages_hold_each_dataset_once_newest_first(api: Api, database: Database) -> None:
    with database.write() as session:
        made = [make_dataset(session).id for _ in range(5)]

    first = api.get("/api/v1/datasets", params={"limit": 2}).json()
    second = api.get("/api/v1/datasets", params={"limit": 2, "after": first["next"]}).json()
    third = api.get("/api/v1/datasets", params={"limit": 2, "after": second["next"]}).json()

    assert [dataset["id"] for page in (first, second, third) for dataset in page["data"]] == made[::-1]
    assert third["next"] is None


@SQLITE
def test_a_page_stays_put_when_something_new_comes(api: Api, database: Database) -> None:
    with database.write() as session:
        made = [make_dataset(session).id for _ in range(3)]
    first = api.get("/api/v1/datasets", params={"limit": 1}).json()
    with database.write() as session:
        make_dataset(session)

    second = api.get("/api/v1/datasets", params={"limit": 1, "after": first["next"]}).json()

    assert second["data"][0]["id"] == made[1]

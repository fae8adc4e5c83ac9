"""The catalogue of losses, what one comes to on a dataset, and its curve."""

from typing import Any

import pytest

from counterweight.contracts.jobs import JobSpec
from counterweight.contracts.losses import LOSS_KINDS
from service.persistence.database import Database
from tests.api.conftest import Api
from tests.factories import make_dataset

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
LOSSES = "/api/v1/losses"


def pointers(answer: Any) -> list[str]:
    assert answer.status_code == 422, answer.text
    return [error["pointer"] for error in answer.json()["errors"]]


@SQLITE
def test_the_catalogue_shows_every_kind_with_what_a_job_takes(api: Api) -> None:
    cards = api.get(LOSSES).json()["data"]

    assert [card["kind"] for card in cards] == list(LOSS_KINDS)
    for card in cards:
        assert all(card[name] for name in ("title", "formula", "use_when", "avoid_when"))
        assert JobSpec(dataset_id="ds", loss=card["defaults"]).loss.kind == card["kind"]
        assert card["parameters"]["properties"].keys() == card["defaults"].keys()


def test_a_loss_is_resolved_on_the_training_rows(api: Api, database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session, classes={"good": 900, "bad": 100})

    resolved = api.post(f"{LOSSES}/resolve", json={"dataset_id": dataset.id, "loss": {"kind": "focal", "alpha": 0.25}}).json()

    assert (resolved["target"], resolved["positive_label"], resolved["rows"]) == ("label", "bad", {"good": 585, "bad": 65})
    assert resolved["resolved"]["alpha"] == {"good": 0.75, "bad": 0.25}
    assert resolved["resolved"]["weights"]["bad"] == pytest.approx(0.25 / 0.7)
    assert any("less weight" in note for note in resolved["notes"])
    assert 0 < resolved["initial_loss"] < 0.325


@SQLITE
@pytest.mark.parametrize("kind", LOSS_KINDS)
def test_a_job_gets_the_numbers_that_were_told_before(api: Api, database: Database, kind: str) -> None:
    with database.write() as session:
        dataset = make_dataset(session, classes={"good": 900, "bad": 100})
    split = {"kind": "stratified", "validation": 0.3, "test": 0.3}

    told = api.post(f"{LOSSES}/resolve", json={"dataset_id": dataset.id, "loss": {"kind": kind}, "split": split}).json()

    job = api.submit(dataset.id, loss={"kind": kind}, split=split).json()
    assert job["loss"] == {name: told[name] for name in ("requested", "resolved", "notes", "initial_loss")}


@SQLITE
@pytest.mark.parametrize(
    ("question", "pointer"),
    [
        ({"loss": {"kind": "focl"}}, "/loss/kind"),
        ({"loss": {"kind": "poly", "epsilon": -1}}, "/loss/epsilon"),
        ({"loss": {"kind": "logit_adjusted", "gamma": 2}}, "/loss/gamma"),
        ({"loss": {"kind": "ldam", "scale": 0}}, "/loss/scale"),
        ({"loss": {"kind": "focal", "alpha": {"good": 1}}}, "/loss/alpha"),
        ({"loss": {"kind": "focal"}, "target": "city"}, "/target"),
        ({"loss": {"kind": "focal"}, "split": {"kind": "column", "column": "nope"}}, "/split/column"),
        ({}, "/loss"),
    ],
)
def test_what_cannot_be_resolved_is_pointed_at(api: Api, database: Database, question: dict[str, Any], pointer: str) -> None:
    with database.write() as session:
        dataset = make_dataset(session)

    assert pointers(api.post(f"{LOSSES}/resolve", json={"dataset_id": dataset.id, **question})) == [pointer]


@SQLITE
def test_a_dataset_that_cannot_be_trained_on_cannot_be_asked_about(api: Api, database: Database) -> None:
    with database.write() as session:
        processing, failed = make_dataset(session, state="processing"), make_dataset(session, state="failed")
    question = {"loss": {"kind": "poly"}}

    waiting = api.post(f"{LOSSES}/resolve", json={"dataset_id": processing.id, **question})

    assert (waiting.status_code, waiting.json()["code"]) == (409, "dataset_not_ready")
    assert "Retry-After" in waiting.headers
    assert api.post(f"{LOSSES}/resolve", json={"dataset_id": failed.id, **question}).json()["code"] == "dataset_failed"
    assert api.post(f"{LOSSES}/resolve", json={"dataset_id": "ds_unknown", **question}).status_code == 404


@SQLITE
def test_a_curve_is_drawn_against_p(api: Api) -> None:
    curve = api.get(f"{LOSSES}/curve?kind=focal&gamma=2&alpha=0.25&points=3&rows=100&positive_rows=10").json()

    assert curve["requested"] == {"kind": "focal", "gamma": 2.0, "alpha": 0.25}
    assert curve["p"] == [0.25, 0.5, 0.75]
    assert curve["positive"]["loss"][1] * 3 == pytest.approx(curve["negative"]["loss"][1])
    assert curve["positive"]["loss"][1] == pytest.approx(0.25 / 0.7 * 0.25 * 0.6931471805599453)


@SQLITE
@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("", "/kind"),
        ("kind=focl", "/kind"),
        ("kind=focal&gamma=-1", "/gamma"),
        ("kind=focal&gamma=nan", "/gamma"),
        ("kind=focal&tau=1", "/tau"),
        ("kind=focal&alpha=half", "/alpha"),
        ("kind=focal&color=red", "/color"),
        ("kind=balanced_cross_entropy&beta=0.9", ""),
        ("kind=poly&rows=10&positive_rows=10", "/positive_rows"),
        ("kind=poly&points=1", "/points"),
    ],
)
def test_what_cannot_be_drawn_is_pointed_at(api: Api, query: str, pointer: str) -> None:
    assert pointers(api.get(f"{LOSSES}/curve?{query}")) == [pointer]


@SQLITE
def test_openapi_has_an_example_of_every_kind(api: Api) -> None:
    described = api.get("/openapi.json").json()

    body = described["paths"]["/api/v1/losses/resolve"]["post"]["requestBody"]["content"]["application/json"]
    examples = [schema["examples"][0].get("kind") for schema in described["components"]["schemas"].values() if "examples" in schema]
    assert set(body["examples"]) == set(LOSS_KINDS) <= set(examples)

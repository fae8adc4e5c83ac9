"""A study's curves: brought together by arm, thinned without losing an extreme, in one answer."""

from typing import Any

import pytest
from sqlalchemy import select

from service.persistence.database import Database
from service.persistence.tables import Job
from tests.api.conftest import Api
from tests.factories import add_points, make_dataset

NAME = "validation/average_precision"


def study_of(api: Api, database: Database, seeds: int = 2) -> str:
    """A study of two arms."""
    with database.write() as session:
        dataset = make_dataset(session).id
    body = {"base": {"dataset_id": dataset}, "losses": [{"kind": "cross_entropy"}, {"kind": "focal"}], "seeds": list(range(seeds))}
    return str(api.post("/api/v1/studies", json=body).json()["id"])


def record(database: Database, study_id: str, arm: int, *runs: list[float], name: str = NAME) -> None:
    with database.write() as session:
        jobs = session.scalars(select(Job).where(Job.study_id == study_id, Job.study_arm == arm).order_by(Job.study_place)).all()
        for job, values in zip(jobs, runs, strict=False):
            add_points(session, job, name, values)


def curves(api: Api, study_id: str, **params: Any) -> dict[str, dict[str, Any]]:
    """The series by arm and name."""
    arms = api.get(f"/api/v1/studies/{study_id}/metrics", params=params).json()["arms"]
    return {arm["arm"]: {series["name"]: series for series in arm["series"]} for arm in arms}


def test_runs_of_an_arm_come_as_their_mean_and_span(api: Api, database: Database) -> None:
    study_id = study_of(api, database)
    record(database, study_id, 0, [0.25, 0.5], [0.75, 0.625, 0.875])
    record(database, study_id, 0, [1.0], name="train/loss")

    found = curves(api, study_id)

    assert found["focal"] == {}
    assert list(found["cross_entropy"]) == ["train/loss", NAME]
    assert found["cross_entropy"][NAME] == {
        "name": NAME,
        "columns": ["epoch", "mean", "low", "high", "runs"],
        "points": [[1, 0.5, 0.25, 0.75, 2], [2, 0.5625, 0.5, 0.625, 2], [3, 0.875, 0.875, 0.875, 1]],
        "reduced": False,
    }


def test_only_the_metrics_asked_for_are_answered(api: Api, database: Database) -> None:
    study_id = study_of(api, database)
    record(database, study_id, 1, [0.5])
    record(database, study_id, 1, [0.5], name="train/loss")

    assert list(curves(api, study_id, names=NAME)["focal"]) == [NAME]


@pytest.mark.parametrize("points", [2, 7, 100])
def test_a_long_training_is_cut_into_stretches_that_keep_the_extremes(api: Api, database: Database, points: int) -> None:
    values = [float((7 * epoch) % 101) for epoch in range(101)]
    study_id = study_of(api, database)
    record(database, study_id, 0, values, values[::-1])
    record(database, study_id, 1, values[:50])

    found = curves(api, study_id, points=points)

    whole, short = found["cross_entropy"][NAME], found["focal"][NAME]
    assert (whole["reduced"], len(whole["points"])) == (True, points)
    epochs, means, lows, highs, runs = zip(*whole["points"], strict=True)
    assert epochs[-1] == 101
    assert list(epochs) == sorted(set(epochs))
    assert (min(lows), max(highs)) == (0.0, 100.0)
    assert set(runs) == {2}
    assert sum(means) / points == pytest.approx(sum(values) / 101, abs=2)
    # The same stretches for every arm, so that their curves can be laid upon each other.
    assert {epoch for epoch, *_ in short["points"][:-1]} <= set(epochs)
    assert short["points"][-1][0] == 50


def test_a_study_of_another_id_has_no_curves(api: Api) -> None:
    assert api.get("/api/v1/studies/stu_00000000000000000000000000/metrics").status_code == 404

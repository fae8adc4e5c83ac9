"""A study over HTTP, from its losses to its verdict, on a real server with a real worker."""

from statistics import fmean
from typing import Any

import pytest

from counterweight.contracts.studies import StudyView
from tests.server import Server
from tests.tables_of_numbers import two_blobs

BASE: dict[str, Any] = {"learner": {"kind": "mlp", "width": 16, "depth": 1}, "training": {"max_epochs": 3, "batch_size": 64}}


def _study(server: Server, dataset_id: str, base: dict[str, Any] | None = None, **changes: Any) -> StudyView:
    body = {"base": {"dataset_id": dataset_id, **BASE, **(base or {})}, "losses": [{"kind": "cross_entropy"}, {"kind": "focal"}]} | changes
    answer = server.client.post("/studies", json={"seeds": [0, 1, 2]} | body)
    assert answer.status_code == 201, answer.text
    return StudyView.model_validate(server.wait(f"/studies/{answer.json()['id']}", lambda study: study["is_terminal"]))


def test_a_study_ends_in_a_verdict_that_stands_on_its_jobs(server: Server) -> None:
    dataset_id = server.upload(two_blobs(rows=1000, positives=200), target="event")

    study = _study(server, dataset_id, metric="roc_auc")

    assert (study.state, study.phase, study.error, study.counts) == ("succeeded", "over", None, {"succeeded": 6})
    for row in study.leaderboard:
        jobs = [server.read(f"/jobs/{job_id}") for job_id in row.job_ids]
        assert row.mean == pytest.approx(fmean(job["metrics"]["test/roc_auc"]["value"] for job in jobs), rel=1e-12)
        assert row.ece == pytest.approx(fmean(job["metrics"]["test/ece"]["value"] for job in jobs), rel=1e-12)
        assert row.minority_recall == pytest.approx(fmean(job["metrics"]["test/recall"]["value"] for job in jobs), rel=1e-12)
        assert row.low is not None
        assert row.high is not None
        assert row.low < (row.mean or 0) < row.high
    [comparison] = study.comparisons
    assert comparison.difference == pytest.approx((study.leaderboard[0].mean or 0) - (study.leaderboard[1].mean or 0), abs=1e-12)
    assert (comparison.runs, set(comparison.mcnemar), comparison.delong is not None) == (3, {"no", "yes"}, True)
    assert study.verdict is not None
    assert study.verdict.candidates[0] == study.leaderboard[0].arm


def test_a_study_over_folds_tests_on_every_row(server: Server) -> None:
    dataset_id = server.upload(two_blobs(rows=300, positives=60), target="event")

    study = _study(server, dataset_id, folds=3, seeds=[0])

    assert study.state == "succeeded"
    assert [row.runs for row in study.leaderboard] == [3, 3]
    assert study.verdict is not None
    assert "over 3 runs and 300 test rows" in study.verdict.sentence


def test_a_study_is_deleted_with_all_it_made(server: Server) -> None:
    dataset_id = server.upload(two_blobs(rows=300, positives=60), target="event")
    study = _study(server, dataset_id, losses=[{"kind": "poly"}], seeds=[0, 1])

    gone = server.client.delete(f"/studies/{study.id}").json()

    assert (gone["deleted"], gone["files"] >= 2 * 4) == (True, True)
    assert server.client.get(f"/jobs/{study.leaderboard[0].job_ids[0]}").status_code == 404

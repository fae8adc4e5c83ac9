"""Asking what a threshold does, over HTTP, of a job that was evaluated."""

from typing import Any

import numpy as np
import pytest

from counterweight.contracts.evaluation import EvaluationOptions
from counterweight.contracts.terms import LossTerms
from service.domain.errors import Invalid
from service.domain.operating import Wish, policy_of
from service.persistence.database import Database
from service.persistence.files import Files
from service.persistence.tables import Artifact, JobEvaluation
from tests.api.conftest import Api
from tests.factories import make_job
from workers.training.evaluation import evaluate
from workers.training.predictions import prediction_files
from workers.training.subject import Scored, Subject

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def evaluated_job(database: Database, files: Files, classes: tuple[str, ...] = ("bad", "good")) -> tuple[str, dict[str, Any]]:
    """Record a job as a trainer would leave it; return its id and its evaluation."""
    source, count = np.random.default_rng(0), len(classes)
    labels = source.choice(count, 600, p=[0.2, 0.8] if count == 2 else [0.2, 0.3, 0.5])
    logits = source.normal(size=(600, count)) + 2 * np.eye(count)[labels]
    subject = Subject(
        classes, 0 if count == 2 else None, LossTerms.neutral(count), (0.2, 0.8) if count == 2 else (0.2, 0.3, 0.5), EvaluationOptions()
    )
    outcome = evaluate(subject, Scored.of(logits[:300], labels[:300]), Scored.of(logits[300:], labels[300:]))
    with database.write() as session:
        job = make_job(session, state="succeeded", evaluation={"positive_label": classes[0] if count == 2 else None})
        session.add(JobEvaluation(job_id=job.id, body=outcome.evaluation))
        for name, content in prediction_files(subject, outcome.judged).items():
            path = f"jobs/{job.id}/1/{name}"
            files.make_folder(f"jobs/{job.id}/1")
            files.path(path).write_bytes(content)
            session.add(Artifact(job_id=job.id, name=name, path=path, bytes=len(content), sha256="0" * 64))
    return job.id, outcome.evaluation.model_dump(mode="json")


def test_the_job_s_own_threshold_gives_its_evaluation(api: Api, database: Database, files: Files) -> None:
    job_id, evaluation = evaluated_job(database, files)

    point = api.get(f"/api/v1/jobs/{job_id}/operating-point", params={"threshold": evaluation["threshold"]["value"]}).json()

    assert point["positive_label"] == "bad"
    for part, split in evaluation["splits"].items():
        assert point["splits"][part]["confusion"] == split["confusion"]
        for name, metric in point["splits"][part]["metrics"].items():
            assert metric == split["metrics"][name]
    assert {"precision", "recall", "specificity", "f1", "mcc", "kappa", "g_mean"} < point["splits"]["test"]["metrics"].keys()


@SQLITE
@pytest.mark.parametrize(
    ("query", "policy"),
    [
        ({"min_precision": 0.5}, "precision_floor"),
        ({"min_recall": 0.9}, "recall_floor"),
        ({"false_negative": 10, "false_positive": 1}, "min_cost"),
    ],
)
def test_a_wish_becomes_a_threshold(api: Api, database: Database, files: Files, query: dict[str, float], policy: str) -> None:
    job_id, _ = evaluated_job(database, files)

    point = api.get(f"/api/v1/jobs/{job_id}/operating-point", params=query).json()

    metrics = point["splits"]["validation"]["metrics"]
    assert point["threshold"]["policy"] == policy
    assert metrics["precision"]["value"] >= query.get("min_precision", 0)
    assert metrics["recall"]["value"] >= query.get("min_recall", 0)
    assert metrics["recall"]["low"] <= metrics["recall"]["value"] <= metrics["recall"]["high"]


@SQLITE
def test_what_no_threshold_reaches_is_told(api: Api, database: Database, files: Files) -> None:
    job_id, _ = evaluated_job(database, files)

    answer = api.get(f"/api/v1/jobs/{job_id}/operating-point?min_precision=0.9999")

    assert answer.status_code == 200
    assert (answer.json()["threshold"]["value"], answer.json()["threshold"]["reason"]) == (None, "infeasible_constraint")
    assert answer.json()["splits"] == {}


@SQLITE
def test_several_classes_have_no_threshold(api: Api, database: Database, files: Files) -> None:
    job_id, _ = evaluated_job(database, files, classes=("x", "y", "z"))

    answer = api.get(f"/api/v1/jobs/{job_id}/operating-point?threshold=0.5")

    assert (answer.status_code, answer.json()["code"]) == (422, "several_classes")


@SQLITE
def test_a_job_that_has_not_ended_has_no_operating_point(api: Api, database: Database) -> None:
    with database.write() as session:
        job = make_job(session)

    answer = api.get(f"/api/v1/jobs/{job.id}/operating-point?threshold=0.5")

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@SQLITE
@pytest.mark.parametrize(
    "query", ["", "threshold=0.5&min_recall=0.5", "false_negative=1", "threshold=2", "min_precision=1", "min_recall=nan", "thresh=0.5"]
)
def test_a_wish_that_cannot_be_understood_is_refused(api: Api, database: Database, query: str) -> None:
    with database.write() as session:
        job = make_job(session)

    answer = api.get(f"/api/v1/jobs/{job.id}/operating-point?{query}")

    assert answer.status_code == 422


def test_a_cost_without_its_counterpart_names_what_is_missing() -> None:
    with pytest.raises(Invalid, match="false_positive") as refusal:
        policy_of(Wish(None, None, 3.0, None, None))

    assert refusal.value.errors[0].pointer == "/false_positive"

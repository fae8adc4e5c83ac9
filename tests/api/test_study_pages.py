"""Pages of studies as the server writes them: what they hold in each state, and that their numbers are the API's."""

import ast
import json
import re
import shlex

import pytest
from sqlalchemy import select

from counterweight.contracts.studies import Arm, StudyResults, StudySpec, Verdict
from service.persistence import studies, study_runs
from service.persistence.database import Database
from service.persistence.tables import FinalMetric, Job, Study
from service.web.samples import samples_of_study
from service.web.studies import ends_of, lines_of, looks_of
from tests.api.conftest import Api
from tests.factories import end_jobs, make_dataset, make_study

BOTH = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

MARKUP = "<script>alert(1)</script>"
LOSSES = ({"kind": "cross_entropy"}, {"kind": "focal", "gamma": 1.0}, {"kind": "focal", "gamma": 3.0})


def measure(database: Database, study_id: str, *values: float) -> None:
    """Record the studied metric of jobs that have ended, the first ones first."""
    with database.write() as session:
        jobs = session.scalars(select(Job.id).where(Job.study_id == study_id).order_by(Job.id)).all()
        session.add_all(
            FinalMetric(job_id=job_id, name="test/average_precision", value=value) for job_id, value in zip(jobs, values, strict=False)
        )


@BOTH
def test_studies_are_listed_with_their_datasets_and_their_jobs(api: Api, database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session, name="cards.csv")
        make_study(session, dataset, name="first")
        end_jobs(session, make_study(session, dataset, name="second", losses=LOSSES), ["succeeded", "failed", "running"])

    text = api.get("/ui/studies").text

    assert text.index("second") < text.index("first")
    assert text.count(">cards.csv<") == 2
    assert re.search(r'jobs-bar"[^>]*aria-label="(?=[^"]*1 failed)(?=[^"]*3 queued)(?=[^"]*1 running)[^"]*1 succeeded', text)
    assert "every 2s" in text


@BOTH
def test_a_running_study_shows_the_runs_so_far(api: Api, database: Database) -> None:
    with database.write() as session:
        study = make_study(session, losses=LOSSES)
        end_jobs(session, study, ["succeeded", "failed", "running"])
    measure(database, study.id, 0.75)

    text = api.get(f"/ui/studies/{study.id}").text

    assert "No verdict yet" in text
    assert re.findall(r'class="run state-(\w+)"', text).count("queued") == 3
    assert re.search(r'class="figure mean"><span class="value">0\.750<', text)
    assert "Cancel this study?" in text
    assert "every 1s" in text


@BOTH
def test_a_study_that_is_over_opens_with_its_verdict(api: Api, database: Database) -> None:
    with database.write() as session:
        study = make_study(session)
        end_jobs(session, study, ["succeeded"] * 4)
    measure(database, study.id, 0.75, 0.5, 0.875, 0.625)
    with database.write() as session:
        found = session.get_one(Study, study.id)
        view = studies.view(session, studies.get(session, found.project_id, study.id))
        words = "One is best. It is ahead of the other."
        verdict = Verdict(decided=True, outcome="winner", winner="cross_entropy", candidates=[], suggestion=None, sentence=words)
        found.results = StudyResults(leaderboard=view.leaderboard, comparisons=[], verdict=verdict)
        found.state = "succeeded"

    text = api.get(f"/ui/studies/{study.id}").text

    assert "<p>One is best.</p><p>It is ahead of the other.</p>" in text
    assert len(re.findall(r'<tr class="arm arm-0 loss-cross-entropy winner">', text)) == 1
    assert "hx-get" not in text.split('id="study"')[1].split(">")[0]
    assert "Cancel this study?" not in text


@SQLITE
def test_a_study_is_cancelled_from_its_page(api: Api, database: Database) -> None:
    with database.write() as session:
        study = make_study(session)

    answer = api.post(f"/ui/studies/{study.id}/cancel", data={})
    again = api.post(f"/ui/studies/{study.id}/cancel", data={})

    assert (answer.status_code, answer.headers["location"]) == (303, f"/ui/studies/{study.id}")
    assert "was cancelled before its arms could be compared" in api.get(f"/ui/studies/{study.id}").text
    assert again.status_code == 409


@SQLITE
def test_names_with_markup_stay_names(api: Api, database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session, name=MARKUP, classes={MARKUP: 50, "b": 90})
        losses = ({"kind": "cross_entropy"}, {"kind": "focal", "alpha": {MARKUP: 0.5, "b": 0.5}})
        study = make_study(session, dataset, name=MARKUP, labels={"x": MARKUP}, losses=losses)

    for path in ("/ui/studies", f"/ui/studies/{study.id}", f"/ui/studies/{study.id}/spec"):
        text = api.get(path).text
        assert MARKUP not in text
        assert "&lt;script&gt;" in text


@SQLITE
def test_a_study_as_code_is_the_same_study(database: Database) -> None:
    with database.write() as session:
        spec = make_study(session, losses=LOSSES, vary={"training.learning_rate": [0.001, 0.01]}, metric="mcc").spec

    samples = samples_of_study(spec, "http://localhost")
    body = shlex.split(samples["curl"])[-1]
    assert StudySpec.model_validate(json.loads(body)).model_dump() == spec.model_dump()

    (call,) = [it for it in ast.walk(ast.parse(samples["Python"])) if isinstance(it, ast.Call) and it.keywords]
    assert {str(it.arg): ast.literal_eval(it.value) for it in call.keywords} == json.loads(body)
    lines = samples["Python"].splitlines()
    second = lines[next(at for at, line in enumerate(lines) if line.startswith("    losses=[{")) + 1]
    assert second.startswith(" " * len("    losses=[") + "{")


@SQLITE
def test_the_scale_of_a_leaderboard_holds_every_run(database: Database) -> None:
    with database.write() as session:
        study = make_study(session)
        end_jobs(session, study, ["succeeded"] * 3)
    measure(database, study.id, 0.25, 0.5, 0.75)
    with database.read() as session:
        found = studies.get(session, study.project_id, study.id)
        rows, runs = studies.view(session, found).leaderboard, study_runs.read(session, found)

    ends = ends_of(rows, [run for own in runs.by_arm.values() for run in own])
    lines = list(lines_of(rows, looks_of(found.arms), runs.by_arm, ends))

    assert ends == (0.25, 0.75)
    assert sorted(tick for line in lines for tick in line.ticks) == [0.0, 50.0, 100.0]
    assert runs.fraction == 0.75


def test_arms_of_one_loss_share_its_colour_and_differ_in_shade() -> None:
    arms = [Arm.model_validate({"arm": name, "loss": {"kind": kind}}) for name, kind in (("a", "focal"), ("b", "ldam"), ("c", "focal"))]

    assert looks_of(arms) == {"a": "arm arm-0 loss-focal", "b": "arm arm-0 loss-ldam", "c": "arm arm-1 loss-focal"}

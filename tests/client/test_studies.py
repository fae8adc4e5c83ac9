"""Studies from Python and from the command line, against a real service."""

import contextlib
import json
import signal
from collections.abc import Iterator

import pytest

from counterweight.client import Client
from counterweight.contracts.learners import Linear
from counterweight.contracts.losses import CrossEntropy, Focal
from counterweight.errors import Conflict, Invalid, NotFound, WaitTimeout
from tests.client.conftest import ENDLESS, CommandLine
from tests.tables_of_numbers import two_blobs

NO_STUDY = "stu_00000000000000000000000000"


@pytest.fixture
def endless_id(client: Client, dataset_id: str) -> Iterator[str]:
    """A study that goes on during the test, and not longer."""
    base = {"dataset_id": dataset_id, "training": ENDLESS}
    study = client.studies.create(base=base, losses=[CrossEntropy(), Focal()], seeds=[0, 1])
    yield study.id
    with contextlib.suppress(Conflict, NotFound):
        client.studies.cancel(study.id)
        client.studies.wait(study.id, timeout_s=60)


def test_a_study_is_found_changed_cancelled_and_deleted(client: Client, endless_id: str) -> None:
    first = client.studies.get(endless_id)

    changed = client.studies.update(endless_id, name="renamed", labels={"team": "risk"}, version=first.version)
    with pytest.raises(Conflict, match="read it again"):
        client.studies.update(endless_id, labels={"team": None}, version=first.version)
    listed = next(study for study in client.studies.list() if study.id == endless_id)
    with pytest.raises(WaitTimeout):
        client.studies.wait(endless_id, timeout_s=0.2)
    client.studies.cancel(endless_id)
    ended = client.studies.wait(endless_id, timeout_s=60)
    jobs = [job.id for job in client.jobs.list(filter=f"study_id = {endless_id}")]
    gone = client.studies.delete(endless_id)

    assert (first.jobs, first.arms, first.allowed_actions) == (4, 2, ["cancel", "pause"])
    assert (changed.name, changed.labels, listed.name) == ("renamed", {"team": "risk"}, "renamed")
    assert (ended.state, ended.counts) == ("cancelled", {"cancelled": 4})
    assert (len(jobs), gone.deleted) == (4, True)
    for read in (lambda: client.studies.get(endless_id), lambda: client.jobs.get(jobs[0])):
        with pytest.raises(NotFound):
            read()


def test_comparing_ends_in_a_verdict(client: Client, dataset_id: str) -> None:
    study = client.compare(
        dataset_id, [CrossEntropy(), Focal(gamma=1.0)], seeds=2, learner=Linear(), training={"max_epochs": 2}, metric="mcc"
    )
    curves = client.studies.metrics(study.id, names="train/loss")

    assert (study.state, study.metric, study.spec.seeds) == ("succeeded", "mcc", [0, 1])
    assert study.verdict is not None
    assert {study.comparisons[0].a, study.comparisons[0].b} == {"cross_entropy", "focal(gamma=1)"}
    assert [(arm.arm, len(arm.series[0].points)) for arm in curves.arms] == [("cross_entropy", 2), ("focal(gamma=1)", 2)]


def test_a_plan_of_a_study_queues_nothing(client: Client, dataset_id: str) -> None:
    plan = client.studies.plan(base={"dataset_id": dataset_id}, losses=[CrossEntropy(), Focal()], vary={"learner.width": [16, 32]})

    assert (len(plan.arms), plan.jobs, plan.metric) == (4, 20, "average_precision")
    assert plan.name not in [study.name for study in client.studies.list()]


def test_wrong_fields_of_a_study_are_pointed_at(client: Client, dataset_id: str) -> None:
    with pytest.raises(Invalid) as raised:
        client.compare(dataset_id, [CrossEntropy(), CrossEntropy()], seeds=2, learner=Linear())

    assert [error.pointer for error in raised.value.errors] == ["/losses/1"]


def test_what_the_options_say_reaches_the_study(cli: CommandLine, dataset_id: str) -> None:
    grammar = [
        "--loss",
        "cross_entropy",
        "--loss",
        'balanced_cross_entropy:weights={"no": 1, "yes": 3}',
        "--loss",
        "focal:gamma=1,alpha=0.4",
    ]
    vary = ["--vary", "training.learning_rate=0.001,0.01"]
    rest = ["--metric", "mcc", "--minimum-difference", "0.02", "--learner", "linear", "--epochs", "7", "--exclude", "colour"]

    ended = cli.run("studies", "compare", dataset_id, *grammar, *vary, *rest, "--seeds", "3,14", "--dry-run", "-o", "json")

    assert ended.returncode == 0, ended.stderr
    plan = json.loads(ended.stdout)
    spec = plan["spec"]
    assert [arm["arm"] for arm in plan["arms"]][2:4] == [
        "balanced_cross_entropy(weights={no: 1, yes: 3}), learning_rate=0.001",
        "balanced_cross_entropy(weights={no: 1, yes: 3}), learning_rate=0.01",
    ]
    assert (spec["losses"][2]["gamma"], spec["losses"][2]["alpha"]) == (1, 0.4)
    assert (spec["seeds"], spec["metric"], spec["minimum_difference"]) == ([3, 14], "mcc", 0.02)
    assert (spec["base"]["learner"]["kind"], spec["base"]["training"]["max_epochs"], spec["base"]["exclude"]) == ("linear", 7, ["colour"])


def test_without_losses_all_that_differ_are_compared(cli: CommandLine, dataset_id: str) -> None:
    plan = json.loads(cli.run("studies", "compare", dataset_id, "--dry-run", "-o", "json").stdout)

    assert len(plan["arms"]) == 6
    assert (plan["notes"], plan["jobs"]) == ([], 30)


def test_options_override_a_study_s_file(cli: CommandLine, dataset_id: str) -> None:
    spec = {"base": {"dataset_id": dataset_id, "training": {"max_epochs": 1, "ema": 0.5}}, "losses": [{"kind": "poly"}], "seeds": [1, 2]}
    (cli.folder / "study.json").write_text(json.dumps(spec))

    ended = cli.run("studies", "compare", "--spec", "study.json", "--epochs", "2", "--dry-run", "-o", "json")

    found = json.loads(ended.stdout)["spec"]
    assert (found["base"]["training"]["max_epochs"], found["base"]["training"]["ema"]) == (2, 0.5)
    assert ([loss["kind"] for loss in found["losses"]], found["seeds"]) == (["poly"], [1, 2])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["compare"], "name the data"),
        (["compare", "no-such-file.csv"], "no-such-file.csv"),
        (["compare", "{dataset}", "--loss", "focal:gamma"], "focal:gamma=2"),
        (["compare", "{dataset}", "--loss", "focl"], "/losses/0"),
        (["compare", "{dataset}", "--loss", "focal:gamma=-1"], "/losses/0/gamma"),
        (["compare", "{dataset}", "--seeds", "five"], "'five'"),
        (["compare", "{dataset}", "--seeds", "1"], "2 seeds"),
        (["compare", "{dataset}", "--seeds", "0"], "give 2 to 2,000"),
        (["compare", "{dataset}", "--vary", "learner.width"], "learner.width"),
        (["compare", "{dataset}", "--metric", "accurracy"], "/metric"),
        (["compare", "{dataset}", "--fail-if", "undecided"], "needs --wait"),
        (["compare", "{dataset}", "--dry-run", "--wait", "--fail-if", "undecided"], "leave --wait out"),
        (["compare", "blobs.csv", "--dry-run"], "datasets upload blobs.csv"),
        (["wait", NO_STUDY, "--fail-if", "decided"], "'decided'"),
        (["compare", "{dataset}", "--wait", "--fail-if", "test/roc_auc<1"], "choose from test/average_precision, test/ece"),
        (["compare", "{dataset}", "--metric", "ece", "--wait", "--fail-if", "test/f1<1"], "choose from test/ece"),
    ],
)
@pytest.mark.usefixtures("blobs")
def test_2_when_a_study_cannot_be_as_written(cli: CommandLine, dataset_id: str, arguments: list[str], told: str) -> None:
    ended = cli.run("studies", *(argument.format(dataset=dataset_id) for argument in arguments))

    assert ended.returncode == 2, ended.stderr
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr


def test_1_when_the_file_of_a_study_cannot_be_read(cli: CommandLine) -> None:
    (cli.folder / "ragged.csv").write_text("a,b\n1,2\n1,2,3,4\n5,6\n")

    ended = cli.run("studies", "compare", "ragged.csv", "--target", "b")

    assert (ended.returncode, "1,2,3,4" in ended.stderr) == (1, True)


def test_a_file_is_uploaded_and_compared_on(cli: CommandLine) -> None:
    (cli.folder / "mine.csv").write_bytes(two_blobs(rows=300, positives=60, seed=9))
    options = [
        "--target",
        "event",
        "--loss",
        "cross_entropy",
        "--loss",
        "focal:gamma=1",
        "--seeds",
        "2",
        "--learner",
        "linear",
        "--epochs",
        "2",
    ]

    ended = cli.run("studies", "compare", "mine.csv", *options, "--wait")
    study_id = cli.run("studies", "list", "--limit", "1", "--quiet").stdout.strip()
    shown = cli.run("studies", "show", study_id)
    document = json.loads(cli.run("studies", "show", study_id, "-o", "json").stdout)
    undecided = cli.run("studies", "wait", study_id, "--quiet", "--fail-if", "undecided")
    poor = cli.run("studies", "wait", study_id, "--quiet", "--fail-if", "test/average_precision<=1", "--fail-if", "test/ece<=1")

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == shown.stdout
    assert f"Created {study_id}: 4 jobs" in ended.stderr
    assert "succeeded, 4 jobs: 4 succeeded" in ended.stderr.splitlines()[-1]
    for row in document["leaderboard"]:
        assert f"{row['arm']}  " in shown.stdout
        assert f"{row['mean']:.4f}" in shown.stdout
    assert f"{document['comparisons'][0]['difference']:+.4f}" in shown.stdout
    assert shown.stdout.splitlines()[-1] == f"Verdict: {document['verdict']['sentence']}"
    assert undecided.returncode == (0 if document["verdict"]["decided"] else 6)
    assert (poor.returncode, poor.stderr.count("Gate failed")) == (6, 2)


@pytest.mark.parametrize("command", ["show", "wait", "cancel", "retry", "delete"])
def test_4_when_there_is_no_such_study(cli: CommandLine, command: str) -> None:
    ended = cli.run("studies", command, NO_STUDY)

    assert (ended.returncode, NO_STUDY in ended.stderr) == (4, True)


def test_130_and_a_way_back_when_a_wait_for_a_study_is_interrupted(cli: CommandLine, client: Client, endless_id: str) -> None:
    process = cli.start("studies", "wait", endless_id)
    assert process.stderr is not None
    first = process.stderr.readline()

    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)

    assert first.startswith("training, 4 jobs: ")
    assert process.returncode == 130
    assert f"counterweight studies wait {endless_id}" in told
    assert client.studies.get(endless_id).state == "running"


def test_124_then_3_when_a_study_is_waited_for_too_shortly_and_then_cancelled(cli: CommandLine, endless_id: str) -> None:
    waited = cli.run("studies", "wait", endless_id, "--timeout", "0.2")
    cancelled = cli.run("studies", "cancel", endless_id, "--quiet")
    ended = cli.run("studies", "wait", endless_id)
    again = cli.run("studies", "retry", endless_id, "-o", "json")

    assert (again.returncode, json.loads(again.stdout)["state"]) == (0, "running"), again.stderr
    assert (waited.returncode, cancelled.returncode, ended.returncode) == (124, 0, 3)
    assert cancelled.stdout == f"{endless_id}\n"
    assert "cancelled, 4 jobs: 4 cancelled" in ended.stdout

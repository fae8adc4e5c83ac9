"""The exit codes that scripts rely on, each from the real command."""

import json
import re
import signal
from pathlib import Path

import pytest

from tests.client.conftest import ENDLESS, CommandLine
from tests.client.scripted import NOBODY
from tests.server import Server

NO_JOB = "job_00000000000000000000000000"
EXPLODING = {"training": {"learning_rate": 10, "weight_decay": 10, "max_epochs": 50, "early_stopping": None}}


def spec_file(folder: Path, **spec: object) -> str:
    path = folder / "spec.json"
    path.write_text(json.dumps(spec))
    return str(path)


def test_2_when_the_address_of_the_server_is_none(cli: CommandLine) -> None:
    ended = cli.run("jobs", "list", url="localhost")

    assert ended.returncode == 2
    assert "COUNTERWEIGHT_URL" in ended.stderr
    assert "http://127.0.0.1:8321" in ended.stderr


@pytest.fixture(scope="module")
def finished_job_id(server: Server, dataset_id: str) -> str:
    job_id = server.submit(dataset_id, training={"max_epochs": 2})
    assert server.finish(job_id)["state"] == "succeeded"
    return job_id


def test_0_when_the_job_succeeded(cli: CommandLine, dataset_id: str) -> None:
    ended = cli.run("jobs", "submit", dataset_id, "--loss", "focal", "--gamma", "1", "--epochs", "2", "--wait")

    assert ended.returncode == 0, ended.stderr
    assert "test/average_precision" in ended.stdout


def test_1_when_the_job_failed(cli: CommandLine, dataset_id: str) -> None:
    ended = cli.run("jobs", "submit", dataset_id, "--spec", spec_file(cli.folder, **EXPLODING), "--wait")

    assert ended.returncode == 1, ended.stderr
    assert "diverged" in ended.stdout


def test_1_when_the_file_cannot_be_read(cli: CommandLine) -> None:
    path = cli.folder / "ragged.csv"
    path.write_text("a,b\n1,2\n1,2,3,4\n5,6\n")

    ended = cli.run("datasets", "upload", str(path))

    assert ended.returncode == 1, ended.stderr
    assert "1,2,3,4" in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["jobs", "submit"], "name the dataset"),
        (["jobs", "submit", "{dataset}", "--loss", "focl"], "/loss"),
        (["jobs", "submit", "{dataset}", "--loss", "focal", "--gamma", "-1"], "/loss/gamma"),
        (["jobs", "submit", "{dataset}", "--target", "colour_of_money"], "colour_of_money"),
        (["jobs", "submit", "--spec", "/etc/hostname"], "not JSON"),
        (["jobs", "list", "--filter", "nonsense"], "nonsense"),
        (["jobs", "list", "--output", "yaml"], "yaml"),
        (["datasets", "upload", "no-such-file.csv"], "no-such-file.csv"),
        (["serve", "--bind", "nowhere"], "COUNTERWEIGHT_BIND"),
        (["nonsense"], "nonsense"),
    ],
)
def test_2_when_it_cannot_be_done_as_written(cli: CommandLine, dataset_id: str, arguments: list[str], told: str) -> None:
    ended = cli.run(*(argument.format(dataset=dataset_id) for argument in arguments))

    assert ended.returncode == 2, ended.stderr
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr


def test_2_when_a_part_of_the_spec_is_no_object(cli: CommandLine) -> None:
    ended = cli.run("jobs", "submit", "--spec", spec_file(cli.folder, training=3), "--epochs", "2")

    assert (ended.returncode, "'training' must hold one JSON object" in ended.stderr) == (2, True)


def test_3_when_the_job_was_cancelled(cli: CommandLine, endless_job_id: str) -> None:
    cancelled = cli.run("jobs", "cancel", endless_job_id)

    assert cancelled.returncode == 0, cancelled.stderr
    assert cli.run("jobs", "wait", endless_job_id).returncode == 3


@pytest.mark.parametrize("command", ["show", "wait", "cancel"])
def test_4_when_there_is_no_such_job(cli: CommandLine, command: str) -> None:
    ended = cli.run("jobs", command, NO_JOB)

    assert ended.returncode == 4
    assert NO_JOB in ended.stderr


def test_5_when_no_server_answers(cli: CommandLine) -> None:
    ended = cli.run("jobs", "list", url=NOBODY)

    assert ended.returncode == 5
    assert "counterweight serve" in ended.stderr


@pytest.mark.parametrize(
    ("gate", "code", "told"),
    [
        ("test/average_precision<2", 6, "Gate failed: test/average_precision is 0."),
        ("test/average_precision >= 0", 6, ">= 0 was not to be"),
        ("test/average_precision<0.01", 0, ""),
        ("test/macro_f1<0.5", 2, "no metric 'test/macro_f1'"),
        ("test/no_such<0.5", 2, "no metric 'test/no_such'; choose from test/average_precision, "),
        ("f1<0.5", 2, "test/f1"),
        ("test/average_precision=0.5", 2, "no comparison"),
        ("0.5>test/average_precision", 2, "no comparison"),
    ],
)
def test_6_when_a_gate_fails(cli: CommandLine, finished_job_id: str, gate: str, code: int, told: str) -> None:
    ended = cli.run("jobs", "wait", finished_job_id, "--quiet", "--fail-if", "validation/average_precision<0", "--fail-if", gate)

    assert ended.returncode == code, ended.stderr
    assert told in ended.stderr


def test_6_when_the_model_of_a_submitted_job_does_not_pass(cli: CommandLine, dataset_id: str) -> None:
    ended = cli.run("jobs", "submit", dataset_id, "--epochs", "1", "--wait", "--fail-if", "test/mcc<=1")

    assert ended.returncode == 6, ended.stderr


def test_a_job_that_failed_has_failed_whatever_the_gate(cli: CommandLine, dataset_id: str) -> None:
    spec = spec_file(cli.folder, **EXPLODING)

    assert cli.run("jobs", "submit", dataset_id, "--spec", spec, "--wait", "--fail-if", "test/mcc<1").returncode == 1


def test_2_when_a_gate_has_nothing_to_judge(cli: CommandLine, dataset_id: str) -> None:
    unwaited = cli.run("jobs", "submit", dataset_id, "--fail-if", "test/mcc<1")
    unmade = cli.run("jobs", "submit", dataset_id, "--dry-run", "--wait", "--fail-if", "test/mcc<1")

    assert (unwaited.returncode, "needs --wait" in unwaited.stderr) == (2, True)
    assert (unmade.returncode, "leave --wait out" in unmade.stderr) == (2, True)


def test_watching_tells_each_step_and_ends_as_the_job_does(cli: CommandLine, dataset_id: str) -> None:
    job_id = cli.run("jobs", "submit", dataset_id, "--epochs", "2", "--quiet").stdout.strip()

    steps = cli.run("jobs", "watch", job_id, "-o", "jsonl")
    again = cli.run("jobs", "watch", job_id, "--fail-if", "test/mcc<=1")
    quiet = cli.run("jobs", "watch", job_id, "--quiet")

    assert steps.returncode == 0, steps.stderr
    assert json.loads(steps.stdout.splitlines()[-1])["state"] == "succeeded"
    assert (again.returncode, "succeeded" in again.stderr) == (6, True)
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, f"{job_id}\n", "")


def test_124_when_the_wait_takes_too_long(cli: CommandLine, endless_job_id: str) -> None:
    assert cli.run("jobs", "wait", endless_job_id, "--timeout", "0.2").returncode == 124


def test_6_when_no_threshold_does_what_is_asked(cli: CommandLine, finished_job_id: str) -> None:
    found = cli.run("jobs", "operating-point", finished_job_id, "--min-recall", "0.5", "--quiet")
    shown = cli.run("jobs", "operating-point", finished_job_id, "--threshold", found.stdout.strip())
    document = json.loads(cli.run("jobs", "operating-point", finished_job_id, "--min-recall", "0.5", "-o", "json").stdout)
    infeasible = cli.run("jobs", "operating-point", finished_job_id, "--min-precision", "0.999999")

    assert (found.returncode, shown.returncode) == (0, 0), found.stderr + shown.stderr
    assert float(found.stdout) == document["threshold"]["value"]
    assert f"{document['splits']['test']['metrics']['recall']['value']:.4f}" in shown.stdout
    assert ", by max_f1" in cli.run("jobs", "show", finished_job_id).stdout
    assert (infeasible.returncode, infeasible.stdout) == (6, "")
    assert "no threshold meets what was asked" in infeasible.stderr
    assert cli.run("jobs", "operating-point", finished_job_id).returncode == 2


@pytest.mark.parametrize("positive", ["yes", "no"])
def test_rows_are_counted_for_the_positive_class_wherever_its_label_stands(cli: CommandLine, dataset_id: str, positive: str) -> None:
    spec = spec_file(cli.folder, evaluation={"positive_label": positive}, training={"max_epochs": 2})
    job_id = cli.run("jobs", "submit", dataset_id, "--spec", spec, "--wait", "--quiet").stdout.strip()

    lines = cli.run("jobs", "operating-point", job_id, "--threshold", "0.5").stdout.splitlines()
    point = json.loads(cli.run("jobs", "operating-point", job_id, "--threshold", "0.5", "-o", "json").stdout)

    shown = {name: next(line.split()[-1] for line in lines if line.startswith(name)) for name in ("found", "missed", "false alarms")}
    metrics = point["splits"]["test"]["metrics"]
    found, missed, false_alarms = (int(shown[name]) for name in shown)
    assert found + missed == sum(point["splits"]["test"]["confusion"]["counts"][["no", "yes"].index(positive)])
    assert found / (found + missed) == pytest.approx(metrics["recall"]["value"])
    assert found / (found + false_alarms) == pytest.approx(metrics["precision"]["value"])


def test_a_floor_that_few_rows_cannot_show_names_the_threshold_that_keeps_it_by_its_share(cli: CommandLine, finished_job_id: str) -> None:
    unsure = cli.run("jobs", "operating-point", finished_job_id, "--min-recall", "0.99")

    by_share = re.search(r"--threshold (\S+)", unsure.stderr)
    assert by_share is not None, unsure.stderr
    point = json.loads(cli.run("jobs", "operating-point", finished_job_id, "--threshold", by_share[1], "-o", "json").stdout)
    assert unsure.returncode == 6
    assert point["splits"]["validation"]["metrics"]["recall"]["value"] >= 0.8


def test_a_threshold_chosen_on_few_rows_is_shown_with_its_spread(cli: CommandLine, finished_job_id: str) -> None:
    shown = cli.run("jobs", "operating-point", finished_job_id, "--min-recall", "0.5")

    assert "Few validation rows are 'yes'" in shown.stdout


def test_following_a_log_ends_as_the_job_does(cli: CommandLine, dataset_id: str) -> None:
    job_id = cli.run("jobs", "submit", dataset_id, "--epochs", "3", "--quiet").stdout.strip()
    failed_id = cli.run("jobs", "submit", dataset_id, "--spec", spec_file(cli.folder, **EXPLODING), "--quiet").stdout.strip()

    ended = cli.run("jobs", "logs", "--follow", job_id)
    failed = cli.run("jobs", "logs", "--follow", failed_id)
    quiet = cli.run("jobs", "logs", job_id, "--quiet")

    assert [line.split(" ", 1)[1].removeprefix("warning: ") for line in ended.stdout.splitlines()] == quiet.stdout.splitlines()
    assert ended.returncode == 0, ended.stderr
    assert [part in ended.stdout for part in ("epoch 1 of 3", "the weights of epoch", "wrote model.")] == [True] * 3
    assert (failed.returncode, "error: the loss was not finite" in failed.stdout) == (1, True)


def test_130_and_a_way_back_when_a_wait_is_interrupted(cli: CommandLine, server: Server, endless_job_id: str) -> None:
    process = cli.start("jobs", "wait", endless_job_id)
    assert process.stderr is not None
    process.stderr.readline()  # It waits now.

    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)

    assert process.returncode == 130
    assert f"counterweight jobs wait {endless_job_id}" in told
    assert server.read(f"/jobs/{endless_job_id}")["state"] in ("queued", "running")


def test_130_when_a_submitting_wait_is_interrupted(cli: CommandLine, server: Server, dataset_id: str) -> None:
    process = cli.start("jobs", "submit", dataset_id, "--spec", spec_file(cli.folder, training=ENDLESS), "--wait")
    assert process.stderr is not None
    job_id = process.stderr.readline().split()[-1]
    process.stderr.readline()

    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)

    assert process.returncode == 130
    assert server.client.post(f"/jobs/{job_id}/cancel").status_code == 202

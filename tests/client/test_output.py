"""What the commands print: tables for people, JSON for programs, ids for pipes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.client.conftest import BINARY, CommandLine
from tests.server import Server


def test_quiet_prints_the_id_alone(cli: CommandLine, blobs: Path, dataset_id: str) -> None:
    ended = cli.run("datasets", "upload", str(blobs), "--target", "event", "--quiet")

    assert (ended.stdout, ended.stderr) == (f"{dataset_id}\n", "")


def test_json_is_one_object_for_one_thing_and_an_array_for_many(cli: CommandLine, dataset_id: str) -> None:
    one = json.loads(cli.run("datasets", "show", dataset_id, "-o", "json").stdout)
    many = json.loads(cli.run("datasets", "list", "-o", "json").stdout)

    assert one["id"] == dataset_id
    assert dataset_id in [dataset["id"] for dataset in many]


def test_jsonl_is_one_line_for_each(cli: CommandLine, server: Server, dataset_id: str) -> None:
    submitted = {server.submit(dataset_id, training={"max_epochs": 1}) for _ in range(2)}

    lines = cli.run("jobs", "list", "--limit", "2", "-o", "jsonl").stdout.splitlines()

    assert {json.loads(line)["id"] for line in lines} == submitted


def test_a_waiting_command_prints_nothing_but_the_answer_on_standard_output(cli: CommandLine, dataset_id: str) -> None:
    ended = cli.run("jobs", "submit", dataset_id, "--epochs", "2", "--wait", "-o", "json")

    assert json.loads(ended.stdout)["state"] == "succeeded"
    assert "succeeded" in ended.stderr


def test_tables_in_a_pipe_are_whole_and_without_colour(cli: CommandLine, server: Server, dataset_id: str) -> None:
    name = "a name that is far longer than a terminal is wide, " * 3
    job_id = server.submit(dataset_id, name=name.strip(), training={"max_epochs": 1})

    shown = cli.run("jobs", "list", "--limit", "1").stdout

    assert job_id in shown
    assert name.strip() in shown
    assert "\x1b" not in shown


def test_tables_in_a_pipe_end_where_their_words_do(cli: CommandLine, dataset_id: str) -> None:
    lines = cli.run("datasets", "show", dataset_id).stdout.splitlines()

    assert len(lines) > 5
    assert [line for line in lines if line != line.rstrip()] == []


def test_a_table_without_target_is_told_how_to_get_one(cli: CommandLine, blobs: Path) -> None:
    ended = cli.run("datasets", "upload", str(blobs))

    assert ended.returncode == 0
    assert "--target" in ended.stderr


def test_what_users_wrote_cannot_steer_the_terminal(cli: CommandLine, server: Server, dataset_id: str) -> None:
    job_id = server.submit(dataset_id, name="[red]\x1b[31m", training={"max_epochs": 1})

    assert "[red]\\x1b[31m" in cli.run("jobs", "show", job_id).stdout


def test_all_that_upload_can_be_told_reaches_the_reader(cli: CommandLine) -> None:
    path = cli.folder / "odd.txt"
    path.write_bytes("größe\tart\n1,5\trot\n-\trot\n2,5\tblau\n".encode("latin-1"))

    options = ["--delimiter", "tab", "--decimal", ",", "--encoding", "latin-1", "--null-value", "-", "--header", "--name", "odd"]
    ended = cli.run("datasets", "upload", str(path), "--target", "art", "--positive-label", "blau", *options, "-o", "json")

    dataset = json.loads(ended.stdout)
    assert ended.returncode == 0, ended.stderr
    assert dataset["columns"][0] == {"name": "größe", "type": "numeric", "missing": 1, "distinct": 2}
    assert (dataset["name"], dataset["positive_label"]) == ("odd", "blau")


def test_options_override_the_spec_file_field_by_field(cli: CommandLine, dataset_id: str) -> None:
    path = cli.folder / "spec.json"
    path.write_text(json.dumps({"dataset_id": dataset_id, "name": "mine", "training": {"max_epochs": 1, "seed": 3}}))

    ended = cli.run("jobs", "submit", "--spec", str(path), "--seed", "9", "--loss", "focal", "--alpha", "balanced", "-o", "json")

    spec = json.loads(ended.stdout)["spec"]
    assert (spec["name"], spec["training"]["max_epochs"], spec["training"]["seed"]) == ("mine", 1, 9)
    assert (spec["loss"]["kind"], spec["loss"]["alpha"]) == ("focal", "balanced")


@pytest.mark.parametrize("arguments", [[], ["jobs"], ["jobs", "submit"], ["serve"]])
def test_help_loads_nothing_slow(arguments: list[str]) -> None:
    script = (
        "import sys; sys.argv[0] = 'counterweight'; from counterweight.cli import app\n"
        "try: app()\n"
        "finally: print('loaded', *sorted({name.partition('.')[0] for name in sys.modules}))"
    )

    ended = subprocess.run([sys.executable, "-c", script, *arguments, "--help"], capture_output=True, text=True, env=os.environ)

    loaded = ended.stdout.splitlines()[-1].split()
    assert "Usage" in ended.stdout
    assert not {"httpx", "rich", "torch", "sqlalchemy"} & set(loaded)


def test_the_short_name_is_the_same_command() -> None:
    ended = subprocess.run([BINARY.with_name("cw"), "--help"], capture_output=True, text=True)

    assert "Usage: cw" in ended.stdout


def test_jobs_are_listed_tried_again_changed_and_deleted_from_the_command_line(cli: CommandLine, dataset_id: str) -> None:
    def quiet(*arguments: str) -> list[str]:
        ended = cli.run(*arguments, "--quiet")
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.split()

    [first] = quiet("jobs", "submit", dataset_id, "--epochs", "1", "--name", "cli-a", "--wait")
    [second] = quiet("jobs", "retry", first, "--wait")
    quiet("jobs", "update", second, "--name", "cli-b", "--label", "set=cli", "--priority", "7")
    quiet("jobs", "update", first, "--label", "set=cli", "--label", "never=")
    listed = quiet("jobs", "list", "--filter", "labels.set = cli", "--sort", "-name")
    tries = cli.run("jobs", "attempts", first)
    asked = cli.run("jobs", "delete", first, "--dry-run")
    quiet("jobs", "delete", first)

    assert listed == [second, first]
    assert "its model was published" in tries.stdout
    assert "would go" in asked.stdout
    assert quiet("jobs", "list", "--filter", "labels.set = cli") == [second]
    assert cli.run("jobs", "update", second, "--label", "nonsense").returncode == 2


def test_a_dry_run_shows_what_a_job_may_need(cli: CommandLine, dataset_id: str) -> None:
    shown = cli.run("jobs", "submit", dataset_id, "--loss", "focal", "--dry-run")
    plan = json.loads(cli.run("jobs", "submit", dataset_id, "--dry-run", "-o", "json").stdout)

    assert (shown.returncode, "MB for a trainer" in shown.stdout) == (0, True)
    assert plan["object"] == "job_plan"

"""The main job over HTTP: upload, three losses, results; on real tables where their folder lies beside the project."""

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest

from tests.server import Server
from tests.tables_of_numbers import two_blobs

DATA = Path(__file__).parents[1].parent / "shared" / "data"
LOSSES: list[dict[str, Any]] = [{"kind": "cross_entropy"}, {"kind": "balanced_cross_entropy"}, {"kind": "focal"}]
needs_data = pytest.mark.skipif(not DATA.exists(), reason="the folder of public data sets is not beside the project")


def _train_all(server: Server, dataset_id: str, **spec: Any) -> list[dict[str, Any]]:
    jobs = [server.submit(dataset_id, loss=loss, training={"max_epochs": 40}, **spec) for loss in LOSSES]
    return [server.finish(job_id) for job_id in jobs]


def test_the_same_job_twice_gives_the_same_numbers_to_the_last_digit(server: Server) -> None:
    dataset_id = server.upload(two_blobs(), target="event")

    first, second = (server.finish(server.submit(dataset_id, name="once", training={"max_epochs": 40})) for _ in range(2))

    assert first["state"] == second["state"] == "succeeded"
    assert first["metrics"] == second["metrics"]
    assert server.read(f"/jobs/{first['id']}/evaluation") == server.read(f"/jobs/{second['id']}/evaluation")


def test_the_settled_job_says_what_its_loss_comes_to(server: Server) -> None:
    dataset_id = server.upload(two_blobs(rows=1000, positives=100), target="event")

    jobs = _train_all(server, dataset_id)

    assert [job["state"] for job in jobs] == ["succeeded"] * 3
    assert jobs[1]["loss"]["resolved"]["weights"] == pytest.approx({"no": 650 / (2 * 585), "yes": 650 / (2 * 65)})
    assert jobs[2]["loss"]["resolved"]["gamma"] == 2.0
    assert all(job["spec"]["evaluation"]["positive_label"] == "yes" for job in jobs)
    assert all(job["metrics"]["test/average_precision"]["value"] > 0.5 for job in jobs)


@needs_data
@pytest.mark.parametrize("name", ["haberman", "glass", "titanic"])
def test_a_real_table_is_counted_to_the_row_and_trains_with_every_loss(server: Server, name: str) -> None:
    (entry,) = [entry for entry in json.loads((DATA / "INDEX.json").read_text())["datasets"] if entry["name"] == name]
    options = {key: entry[key] for key in ("target", "header", "delimiter", "decimal", "encoding")}

    dataset = server.read(f"/datasets/{server.upload((DATA / entry['file']).read_bytes(), **options)}")
    jobs = _train_all(server, dataset["id"], exclude=entry["id_or_leaky_columns"])

    assert dataset["rows"] == entry["rows"]
    assert {found["label"]: found["count"] for found in dataset["classes"]} == entry["class_counts"]
    assert [job["state"] for job in jobs] == ["succeeded"] * 3


def test_a_broken_file_is_refused_with_its_line_column_and_value(server: Server) -> None:
    content = b"amount,label\n1.5,yes\n" + b"2.5,no\n" * 50 + b"3.5,no,surplus\n"

    answer = server.client.post("/datasets", files={"file": ("t.csv", content)}, data={"options": '{"target": "label"}'})
    dataset = server.wait(f"/datasets/{answer.json()['id']}", lambda body: body["state"] != "processing")

    assert dataset["state"] == "failed"
    assert "53" in dataset["error"]["detail"]


def test_a_class_under_three_rows_is_refused_by_name(server: Server) -> None:
    content = b"amount,label\n" + b"1.5,common\n" * 40 + b"2.5,rare\n" * 2

    dataset_id = server.upload(content, target="label")
    answer = server.client.post("/jobs", json={"dataset_id": dataset_id})

    assert answer.status_code == 422
    assert answer.json()["code"] == "class_too_rare"
    assert "rare" in answer.json()["detail"]


def test_a_dataset_of_its_own_brings_the_test_rows_its_labels_renamed(server: Server) -> None:
    train = server.upload(two_blobs(), target="event")
    dotted = two_blobs(rows=200, positives=40, seed=3).replace(b",yes\n", b",yes.\n").replace(b",no\n", b",no.\n")
    refused = server.client.post("/jobs", json={"dataset_id": train, "test_dataset_id": server.upload(dotted, target="event")})

    test = server.upload(dotted, target="event", rename_labels={"yes.": "yes", "no.": "no"})
    job = server.finish(server.submit(train, test_dataset_id=test, training={"max_epochs": 3}))

    assert refused.json()["code"] == "test_dataset_mismatch"
    assert '"rename_labels": {"no.": "no", "yes.": "yes"}' in refused.json()["detail"]
    splits = server.read(f"/jobs/{job['id']}/evaluation")["splits"]
    assert (job["state"], job["test_dataset"]["id"]) == ("succeeded", test)
    assert {row["label"]: row["count"] for row in splits["test"]["classes"]} == {"no": 160, "yes": 40}
    assert splits["validation"]["rows"] == 90


def _visits() -> bytes:
    """Return two blobs in random order, with a patient for every six rows, a day for every five, and a weight."""
    header, *lines = two_blobs().decode().split()
    random.Random(1).shuffle(lines)
    rows = [f"{line},p{row // 6},{row // 5},{1 + row % 4}" for row, line in enumerate(lines)]
    return "\n".join([f"{header},patient,day,weight", *rows, ""]).encode()


@pytest.mark.parametrize(
    "split",
    [
        {"kind": "stratified", "folds": 4, "fold": 1},
        {"kind": "group"},
        {"kind": "group", "folds": 3, "fold": 2},
        {"kind": "time", "validation": 0.2},
    ],
    ids=lambda split: f"{split['kind']}{split.get('folds', '')}",
)
def test_each_kind_of_split_trains_with_weights_and_shows_the_loss_it_trained_with(server: Server, split: dict[str, Any]) -> None:
    dataset_id = server.upload(_visits(), target="event", group_column="patient", time_column="day", weight_column="weight")
    spec = {"split": split, "loss": {"kind": "balanced_cross_entropy"}, "training": {"max_epochs": 3}}
    estimated = server.client.post("/jobs", params={"dry_run": True}, json={"dataset_id": dataset_id, **spec}).json()

    job = server.finish(server.submit(dataset_id, **spec))

    assert job["state"] == "succeeded", job["error"]
    assert job["spec"]["exclude"] == ["patient", "day", "weight"]
    assert any("an estimate" in note for note in estimated["loss"]["notes"])
    assert not any("an estimate" in note for note in job["loss"]["notes"])
    assert job["loss"]["initial_loss"] == pytest.approx(math.log(2))
    assert job["loss"]["resolved"]["weights"] != estimated["loss"]["resolved"]["weights"]
    rows = {part: found["rows"] for part, found in server.read(f"/jobs/{job['id']}/evaluation")["splits"].items()}
    assert rows["test"] == pytest.approx(600 * job["spec"]["split"]["test"], abs=12)
    assert rows["validation"] == pytest.approx(600 * job["spec"]["split"]["validation"], abs=12)

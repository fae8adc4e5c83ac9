"""The Python client against a real service."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from counterweight.client import Client
from counterweight.contracts.datasets import DatasetOptions
from counterweight.contracts.events import EventView
from counterweight.contracts.jobs import EarlyStopping, JobSpec, JobView, Position, Training
from counterweight.contracts.losses import Focal
from counterweight.contracts.splits import StratifiedSplit
from counterweight.errors import Conflict, Invalid, NotFound, WaitTimeout
from tests.client.scripted import Answer, scripted
from tests.tables_of_numbers import two_blobs


def submit(client: Client, dataset_id: str, epochs: int = 2) -> str:
    return client.jobs.submit(dataset_id=dataset_id, loss=Focal(gamma=2), training=Training(max_epochs=epochs)).id


def test_an_upload_is_read_as_the_options_say(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "odd.txt"
    path.write_text("1;x\n" * 5 + "2;y\n" * 3)

    uploaded = client.datasets.upload(path, name="odd one", delimiter=";", header=False, target="column_1", positive_label="x")
    dataset = client.datasets.wait(uploaded.id, timeout_s=60)

    assert (dataset.state, dataset.name, dataset.rows) == ("ready", "odd one", 8)
    assert (dataset.target, dataset.positive_label) == ("column_1", "x")


def test_the_same_bytes_with_the_same_options_are_the_same_dataset(client: Client, blobs: Path, dataset_id: str) -> None:
    again = client.datasets.upload(blobs, options=DatasetOptions(target="event"))

    assert again.id == dataset_id


def test_options_and_their_fields_do_not_mix(client: Client, blobs: Path) -> None:
    with pytest.raises(TypeError, match="not both"):
        client.datasets.upload(blobs, options=DatasetOptions(), target="event")


def test_a_job_goes_from_submission_to_its_evaluation(client: Client, dataset_id: str) -> None:
    job = client.jobs.wait(submit(client, dataset_id), timeout_s=120)

    assert job.state == "succeeded"
    assert client.jobs.evaluation(job.id).splits["test"].metrics["average_precision"] == job.metrics["test/average_precision"]
    assert {series.name: series.count for series in client.jobs.metrics(job.id, names="train/loss").series} == {"train/loss": 2}
    assert [change.to_state for change in client.jobs.transitions(job.id)] == ["queued", "running", "succeeded"]
    (attempt,) = client.jobs.attempts(job.id)
    last = client.jobs.metrics(job.id, names="train/loss").series[0].points[-1]
    assert (attempt.outcome, attempt.began, attempt.reached) == ("succeeded", Position(step=0), Position(step=last[0]))


def test_a_whole_spec_can_be_submitted(client: Client, dataset_id: str) -> None:
    spec = JobSpec(dataset_id=dataset_id, name="whole", loss=Focal(gamma=1.5), training=Training(max_epochs=1, seed=7))

    job = client.jobs.submit(spec)

    assert (job.name, job.spec.loss, job.spec.training.seed) == ("whole", Focal(gamma=1.5), 7)


@pytest.mark.parametrize("way", ["fields", "models", "spec"])
def test_what_a_model_leaves_out_is_the_service_s_to_choose(client: Client, dataset_id: str, way: str) -> None:
    training: dict[str, Any] = {"max_epochs": 2, "optimizer": "sgd"}
    stopping: dict[str, Any] = {"patience": 7}
    split: dict[str, Any] = {"kind": "stratified", "validation": 0.1}
    if way == "fields":
        plan = client.jobs.plan(dataset_id=dataset_id, split=split, training={**training, "early_stopping": stopping})
    else:
        typed = Training(**training, early_stopping=EarlyStopping(**stopping))
        parts: dict[str, Any] = {"dataset_id": dataset_id, "split": StratifiedSplit(**split), "training": typed}
        plan = client.jobs.plan(**parts) if way == "models" else client.jobs.plan(JobSpec(**parts))

    assert plan.spec.training.learning_rate == 0.1
    assert plan.spec.training.early_stopping == EarlyStopping(metric="log_loss", patience=7)


def test_lists_run_over_pages(client: Client, dataset_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    submitted = [submit(client, dataset_id, epochs=1) for _ in range(5)]
    monkeypatch.setattr("counterweight._resources.asking.PAGE_SIZE", 2)

    listed = [job.id for job in client.jobs.list(limit=5)]

    assert listed == submitted[::-1]


def test_a_list_can_be_filtered(client: Client, dataset_id: str) -> None:
    job_id = client.jobs.submit(dataset_id=dataset_id, labels={"mark": "only-me"}, training=Training(max_epochs=1)).id

    assert [job.id for job in client.jobs.list(filter='labels.mark = "only-me"')] == [job_id]


def test_a_list_can_be_sorted(client: Client, dataset_id: str) -> None:
    submitted = [
        client.jobs.submit(dataset_id=dataset_id, name=name, labels={"mark": "sorted"}, training=Training(max_epochs=1)).id
        for name in ("b", "a", "c")
    ]

    listed = [job.id for job in client.jobs.list(filter="labels.mark = sorted", sort="-name")]

    assert listed == [submitted[2], submitted[0], submitted[1]]


def test_a_wait_ends_when_its_time_is_over_and_the_job_goes_on(client: Client, endless_job_id: str) -> None:
    with pytest.raises(WaitTimeout):
        client.jobs.wait(endless_job_id, timeout_s=0.2)

    assert not client.jobs.get(endless_job_id).is_terminal


def test_a_cancelled_job_ends(client: Client, endless_job_id: str) -> None:
    client.jobs.cancel(endless_job_id)

    assert client.jobs.wait(endless_job_id, timeout_s=60).state == "cancelled"


def test_what_is_over_cannot_be_cancelled(client: Client, dataset_id: str) -> None:
    job = client.jobs.wait(submit(client, dataset_id), timeout_s=120)

    with pytest.raises(Conflict) as raised:
        client.jobs.cancel(job.id)

    assert raised.value.problem.allowed_actions == ["retry", "delete"]


def test_a_job_is_changed_and_tried_again(client: Client, dataset_id: str) -> None:
    job = client.jobs.wait(submit(client, dataset_id, epochs=1), timeout_s=120)

    changed = client.jobs.update(job.id, name="again", labels={"round": "1"}, version=job.version)
    tried = client.jobs.retry(job.id)

    assert (changed.name, changed.labels) == ("again", {"round": "1"})
    assert (tried.retry_of, tried.spec) == (job.id, changed.spec)
    with pytest.raises(Conflict, match="read it again"):
        client.jobs.update(job.id, labels={"round": None}, version=job.version)
    assert client.jobs.update(job.id, labels={"round": None}).labels == {}


def test_a_plan_queues_nothing(client: Client, dataset_id: str) -> None:
    before = [job.id for job in client.jobs.list(limit=1)]

    plan = client.jobs.plan(dataset_id=dataset_id, loss=Focal(gamma=2))

    assert (plan.spec.loss, plan.queue.blocked_by) == (Focal(gamma=2), [])
    assert [job.id for job in client.jobs.list(limit=1)] == before


def test_what_is_deleted_is_gone(client: Client, blobs: Path) -> None:
    dataset = client.datasets.wait(client.datasets.upload(blobs, target="event", exclude=["colour"]).id, timeout_s=60)
    job = client.jobs.wait(submit(client, dataset.id, epochs=1), timeout_s=120)

    with pytest.raises(Conflict, match=job.id):
        client.datasets.delete(dataset.id)
    asked = client.jobs.delete(job.id, dry_run=True)
    gone = client.jobs.delete(job.id)
    client.datasets.delete(dataset.id)

    assert (asked.deleted, asked.files, asked.bytes) == (False, gone.files, gone.bytes)
    assert gone.files > 0
    for read in (lambda: client.jobs.get(job.id), lambda: client.datasets.get(dataset.id)):
        with pytest.raises(NotFound):
            read()


def test_a_dataset_is_renamed(client: Client, dataset_id: str) -> None:
    before = client.datasets.get(dataset_id)

    assert client.datasets.update(dataset_id, name="renamed", labels={"a": "b"}).name == "renamed"
    assert client.datasets.update(dataset_id, name=before.name, labels={"a": None}).labels == {}


def test_what_does_not_exist_is_not_found(client: Client) -> None:
    with pytest.raises(NotFound):
        client.jobs.get("job_00000000000000000000000000")


@pytest.mark.parametrize(("gamma", "as_json"), [(-1, False), (math.nan, False), (-1, True)])
def test_wrong_fields_are_pointed_at(client: Client, dataset_id: str, gamma: float, *, as_json: bool) -> None:
    fields: dict[str, Any] = {"dataset_id": dataset_id, "loss": {"kind": "focal", "gamma": gamma}}

    with pytest.raises(Invalid) as raised:
        client.jobs.submit(json.dumps(fields)) if as_json else client.jobs.submit(**fields)

    assert [error.pointer for error in raised.value.errors] == ["/loss/gamma"]


def test_a_table_larger_than_a_page_of_memory_is_streamed(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    path.write_bytes(two_blobs(rows=20_000, positives=500))

    dataset = client.datasets.wait(client.datasets.upload(path, target="event").id, timeout_s=60)

    assert (dataset.rows, dataset.bytes) == (20_000, path.stat().st_size)


def test_a_job_can_be_followed_through_its_events(client: Client, dataset_id: str) -> None:
    job_id = submit(client, dataset_id)

    first, *rest = client.jobs.events(job_id)

    assert isinstance(first, JobView)
    assert first.id == job_id
    told = [event for event in rest if isinstance(event, EventView)]
    assert [event.to_state for event in told if event.type == "job"][-1:] == ([] if first.is_terminal else ["succeeded"])
    every = [event for event in client.jobs.events(job_id, after=0) if isinstance(event, EventView)]
    assert [event.to_state for event in every if event.type == "job"] == ["queued", "running", "succeeded"]
    assert [event.id for event in every][-len(told) :] == [event.id for event in told] or not told


def test_a_broken_stream_is_gone_on_with_from_the_last_event() -> None:
    event = {"id": 7, "type": "job", "at": "2026-01-01T00:00:00Z", "project": "prj_default", "subject": "job_1", "reason": ""}
    whole = f"retry: 1\nid: 7\nevent: job\ndata: {json.dumps(event | {'from_state': None, 'to_state': 'queued'})}\n\n"
    half = "id: 8\nevent: job\ndata: {"
    end = 'event: end\ndata: {"object": "end", "reason": "over"}\n\n'
    stream = {"Content-Type": "text/event-stream"}
    with scripted([Answer(200, whole + half, stream), Answer(0), Answer(200, end, stream)]) as server, Client(server.url) as client:
        told = list(client.jobs.events("job_1"))

    assert [event.id for event in told] == [7]
    assert [asked.headers.get("Last-Event-ID") for asked in server.asked] == [None, "7", "7"]

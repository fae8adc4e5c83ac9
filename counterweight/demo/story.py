"""`counterweight demo`: from nothing to a study of three losses and its verdict, on a service of its own."""

import json
import shutil
import signal
import tempfile
from importlib.resources import as_file, files
from pathlib import Path

from rich.console import Console

from counterweight.client import Client
from counterweight.commands import codes, exits
from counterweight.commands.study_progress import watched
from counterweight.commands.study_report import print_report
from counterweight.contracts.datasets import DatasetView
from counterweight.contracts.losses import AnyLoss, BalancedCrossEntropy, CrossEntropy, Focal
from counterweight.contracts.studies import StudyView
from counterweight.demo.report import RARE, document_of, explained
from counterweight.demo.server import DemoFailed, OwnServer, own_server, tail
from counterweight.errors import ClientError

LOSSES: list[AnyLoss] = [CrossEntropy(), BalancedCrossEntropy(), Focal(gamma=2.0)]
SEEDS = [0, 1, 2, 3, 4]
READ_TIMEOUT_S, TRAINING_TIMEOUT_S = 60.0, 600.0
RESULT = Path("demo.json")


def run(*, keep: bool) -> int:
    """Play the demo; return the exit code. Whatever happens, nothing is left running."""
    # A closed terminal or a kill ends us as Ctrl-C does: through every `finally`.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    home = Path(tempfile.mkdtemp(prefix="counterweight-demo-"))
    try:
        with own_server(home) as server:
            _play(Console(highlight=False), server, keep=keep)
            if keep:
                _stay(server, home)
    except (DemoFailed, ClientError, OSError) as error:
        exits.say(f"The demo failed: {error}")
        exits.say("The last lines of the service's log:")
        for line in tail(home / "serve.log"):
            exits.say(f"  {line}")
        return codes.FAILED
    except KeyboardInterrupt:
        exits.say("Interrupted; the service is stopped")
        return codes.INTERRUPTED
    finally:
        if not keep:
            shutil.rmtree(home, ignore_errors=True)
    return codes.SUCCEEDED


def _play(screen: Console, server: OwnServer, *, keep: bool) -> None:
    screen.print(f"Counterweight runs on {server.url}", soft_wrap=True)
    with Client(server.url) as client:
        dataset = _upload(screen, client)
        study = _compare(screen, client, dataset)
        jobs = sorted(client.jobs.list(filter=f"study_id = {study.id}"), key=lambda job: job.id)
        evaluation = client.jobs.evaluation(jobs[0].id)
    screen.print()
    for sentence in explained(study, evaluation):
        screen.print(sentence)
    screen.print()
    print_report(study)
    shown = document_of(server.url, study, jobs, evaluation)
    RESULT.write_text(json.dumps(shown, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    _point_onwards(screen, server, study, keep=keep)


def _upload(screen: Console, client: Client) -> DatasetView:
    with as_file(files("counterweight") / "data" / "digits-rare.csv") as path:
        uploaded = client.datasets.upload(path, name="handwritten digits, few eights", target="digit", positive_label=RARE)
    dataset = client.datasets.wait(uploaded.id, READ_TIMEOUT_S)
    if dataset.state != "ready":
        raise DemoFailed(f"the digits could not be read: {dataset.error.detail if dataset.error else dataset.state}")
    rare = next(share for share in dataset.classes if share.label == RARE)
    screen.print(f"Uploaded {dataset.rows} handwritten digits as {dataset.id}: {rare.count} are an 8 ({rare.fraction:.1%})", soft_wrap=True)
    return dataset


def _compare(screen: Console, client: Client, dataset: DatasetView) -> StudyView:
    """Train every loss on every seed as one study, showing how far it has come; return it once it is over."""
    study = client.studies.create(
        name="which loss finds the eights?",
        base={"dataset_id": dataset.id, "learner": {"kind": "mlp"}, "labels": {"made-by": "demo"}},
        losses=LOSSES,
        seeds=SEEDS,
    )
    names = [loss.kind for loss in LOSSES]
    screen.print(f"Study {study.id}: {', '.join(names[:-1])} and {names[-1]}, {len(SEEDS)} runs of each", soft_wrap=True)
    study = watched(client, study.id, TRAINING_TIMEOUT_S, screen)
    if study.state != "succeeded":
        raise DemoFailed(f"the study ended {study.state}: {study.error.detail if study.error else study.state_reason}")
    return study


def _point_onwards(screen: Console, server: OwnServer, study: StudyView, *, keep: bool) -> None:
    lines = [
        f"These numbers are in {RESULT.absolute()}.",
        "Your own table: counterweight serve, and in another terminal counterweight studies compare FILE --target COLUMN --wait",
    ]
    if keep:
        lines += [
            f"The study on the dashboard: {server.url}/ui/studies/{study.id}",
            f"  curl -s {server.url}/api/v1/studies/{study.id}",
            f"  COUNTERWEIGHT_URL={server.url} counterweight studies show {study.id}",
        ]
    else:
        lines.append("To look at it on the dashboard: make demo KEEP=1, or counterweight demo --keep, leaves the service up.")
    screen.print()
    for line in lines:
        screen.print(line, soft_wrap=True)


def _stay(server: OwnServer, home: Path) -> None:
    """Leave the service up until Ctrl-C, which is the way this ends well."""
    exits.say(f"{server.url} stays up; its home is {home}. Ctrl-C stops it")
    try:
        server.process.wait()
    except KeyboardInterrupt:
        return
    raise DemoFailed("the service ended by itself")

"""A trainer of two processes under torch's launcher: one that is killed ends both, and the next trainer goes on to the same digits."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from counterweight.contracts.messages import Checkpointed, CheckpointFile, Log, Resumed, Succeeded, TrainerTask
from service.persistence.recording import TrainerReport
from tests.training.tables import make_task
from workers.backends.local import LocalBackend
from workers.processes import HostProcess, TrainerProcess

LEARNER = {"kind": "mlp", "width": 16, "dropout": 0.2, "numeric_embedding": "none"}
TRAINING = {"max_epochs": 4, "batch_size": 64, "early_stopping": None}
SILENCE_S = 120


@pytest.fixture
def backend() -> LocalBackend:
    return LocalBackend()


def _task(folder: Path, checkpoints: list[CheckpointFile]) -> TrainerTask:
    """Return a task for two ranks that writes a checkpoint after every step."""
    folder.mkdir()
    task = make_task(folder, [{"learner": LEARNER, "training": TRAINING}])
    kept = {"checkpoints": checkpoints, "checkpoint_folder": str(folder / "checkpoints"), "checkpoint_s": 0.0}
    return task.model_copy(update={"rank_devices": ["cpu", "cpu"], **kept})


def _words(trainer: TrainerProcess) -> Iterator[TrainerReport]:
    while not trainer.has_ended:
        assert trainer.connection.poll(SILENCE_S)
        yield from trainer.reports()


def _digests(words: list[TrainerReport]) -> dict[str, str]:
    (end,) = [word for word in words if isinstance(word, Succeeded)]
    return {file.name: file.sha256 for file in end.files if file.name.endswith((".safetensors", ".parquet"))}


def _ranks(trainer: TrainerProcess) -> list[psutil.Process]:
    """The processes that train, in the order of their start: children of the launcher's fork server."""
    assert isinstance(trainer._body, HostProcess)
    launcher = psutil.Process(trainer._body._process.pid)
    forked = [one for child in launcher.children() for one in child.children()]
    return sorted(forked, key=lambda process: process.pid)


def test_a_rank_that_is_killed_ends_the_attempt_and_the_next_one_goes_on_to_the_same_digits(backend: LocalBackend, tmp_path: Path) -> None:
    calm = backend.start(_task(tmp_path / "calm", []), [])
    undisturbed = _digests(list(_words(calm)))
    calm.kill()

    killed, heard, kept = backend.start(_task(tmp_path / "killed", []), []), list[TrainerReport](), list[Checkpointed]()
    for word in _words(killed):
        heard.append(word)
        if isinstance(word, Checkpointed):
            kept.append(word)
            if len(kept) == 5:
                family = _ranks(killed)
                family[-1].kill()
    end = killed.how_it_ended()
    assert "SIGKILL" in end.detail
    assert any(isinstance(word, Log) and "rank 1 of 2 was killed by signal 9" in word.message for word in heard)
    assert psutil.wait_procs(family, timeout=10)[1] == []
    killed.kill()

    file = kept[-1].file
    newest = CheckpointFile(id="chk_1", path=str(tmp_path / "killed" / "checkpoints" / file.path), sha256=file.sha256)
    resumed = backend.start(_task(tmp_path / "resumed", [newest]), [])
    rest = list(_words(resumed))
    resumed.kill()

    assert [word.checkpoint_id for word in rest if isinstance(word, Resumed)] == ["chk_1"]
    assert _digests(rest) == undisturbed

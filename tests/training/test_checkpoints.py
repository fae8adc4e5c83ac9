"""Checkpoint files of a whole run: a torn one is passed over, and the one before goes on to the same digits."""

from pathlib import Path

import pytest

from counterweight.contracts.messages import Checkpointed, CheckpointFile, Log, Resumed, Succeeded, TrainerMessage, TrainerTask
from tests.training.tables import LEARNER, make_task
from workers.training.trainer import run


def _end(messages: list[TrainerMessage]) -> tuple[object, dict[str, str]]:
    (end,) = [message for message in messages if isinstance(message, Succeeded)]
    return end.evaluation, {file.name: file.sha256 for file in end.files}


def _resumed(task: TrainerTask, files: list[CheckpointFile]) -> tuple[str | None, tuple[object, dict[str, str]]]:
    messages = list(run(task.model_copy(update={"checkpoints": files}), lambda _: False, lambda: 1.0))
    (resumed,) = [message for message in messages if isinstance(message, Resumed)]
    return resumed.checkpoint_id, _end(messages)


@pytest.mark.parametrize("refit", [False, True], ids=["once", "refitted"])
def test_a_torn_checkpoint_falls_back_to_the_one_before(tmp_path: Path, *, refit: bool) -> None:
    spec = {"learner": LEARNER, "training": {"max_epochs": 4, "refit": refit}}
    task = make_task(tmp_path, [spec]).model_copy(update={"checkpoint_folder": str(tmp_path / "kept"), "checkpoint_s": 1e-9})
    whole = list(run(task, lambda _: False, lambda: 1.0))
    made = [message.file for message in whole if isinstance(message, Checkpointed)][-2:]
    before, latest = [CheckpointFile(id=file.name, path=str(tmp_path / "kept" / file.path), sha256=file.sha256) for file in made]

    goes_on = _resumed(task.model_copy(update={"checkpoint_folder": None}), [latest, before])
    torn = Path(latest.path)
    torn.write_bytes(torn.read_bytes()[:-7])
    falls_back = _resumed(task.model_copy(update={"checkpoint_folder": None}), [latest, before])
    Path(before.path).unlink()
    begins_anew = _resumed(task.model_copy(update={"checkpoint_folder": None}), [latest, before])

    assert goes_on == (latest.id, _end(whole))
    assert falls_back == (before.id, _end(whole))
    assert begins_anew == (None, _end(whole))


def test_a_checkpoint_that_cannot_be_written_costs_no_training(tmp_path: Path) -> None:
    (tmp_path / "full").write_text("a file where the folder of checkpoints would be")
    task = make_task(tmp_path, [{"learner": LEARNER, "training": {"max_epochs": 4}}])
    unkept = task.model_copy(update={"checkpoint_folder": str(tmp_path / "full" / "kept"), "checkpoint_s": 1e-9})

    messages = list(run(unkept, lambda _: False, lambda: 1.0))

    warnings = [message.message for message in messages if isinstance(message, Log) and message.level == "warning"]
    assert any("no checkpoint could be written (Not a directory): training goes on" in line for line in warnings)
    assert not any(isinstance(message, Checkpointed) for message in messages)
    assert _end(messages) == _end(list(run(task, lambda _: False, lambda: 1.0)))

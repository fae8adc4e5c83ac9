"""What a run says about itself."""

from pathlib import Path

from counterweight.contracts.messages import Log
from tests.training.tables import make_task
from workers.training.happenings import Epoch
from workers.training.telling import Telling, crash_lines
from workers.training.trainer import run


def epoch(number: int) -> Epoch:
    return Epoch(member=0, epoch=number, step=number, values={"train/loss": 0.5}, rows_per_s=1.0, eta_s=1.0)


def test_a_run_tells_its_rows_its_network_its_epochs_and_its_end(tmp_path: Path) -> None:
    task = make_task(tmp_path, [{"training": {"max_epochs": 3}}])

    said = [message.message for message in run(task, lambda _: False, clock=lambda: 5.0) if isinstance(message, Log)]

    told = "\n".join(said)
    for part in ("training on cpu, ", "train: ", "validation: ", "test: ", "(no ", "numeric_embedding=piecewise_linear", "epoch 3 of 3"):
        assert part in told
    assert "trained to the end; the weights of epoch" in told
    assert "test: average_precision 0." in told
    assert said[-1].startswith("wrote model.")
    assert str(tmp_path) not in told


def test_a_run_that_stops_early_says_so(tmp_path: Path) -> None:
    stopping = {"metric": "log_loss", "patience": 1}
    task = make_task(tmp_path, [{"training": {"max_epochs": 500, "early_stopping": stopping, "learning_rate": 1.0}}])

    said = [message.message for message in run(task, lambda _: False) if isinstance(message, Log)]

    assert any("of 500: no further gain; the weights of epoch " in line for line in said)


def test_a_long_training_is_told_in_few_lines() -> None:
    telling = Telling(100_000, clock=lambda: 0.0)

    said = [line for number in range(1, 100_001) for line in telling.epoch("job", epoch(number))]

    assert len(said) <= 22
    assert ("epoch 1 of" in said[0].message, "epoch 100000 of" in said[-1].message) == (True, True)


def test_a_crash_is_told_by_its_place_in_the_code_without_a_path_of_the_host(tmp_path: Path) -> None:
    try:
        (tmp_path / "absent" / "table.parquet").read_bytes()
    except OSError as error:
        lines = crash_lines(error)

    assert lines[-1] == "FileNotFoundError: [Errno 2] No such file or directory: '…/table.parquet'"
    assert any(" in test_a_crash_is_told" in line for line in lines)
    assert "/tmp" not in "\n".join(lines)

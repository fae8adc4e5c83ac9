"""How well the defaults learn a real table, where the data lie beside the project."""

import csv
from pathlib import Path

import pytest

from counterweight.contracts.messages import Succeeded
from tests.training.golden import SHARED
from tests.training.tables import make_task
from workers.training.trainer import run

MAMMOGRAPHY = SHARED / "data" / "mammography" / "mammography.csv"


@pytest.mark.skipif(not MAMMOGRAPHY.exists(), reason="data/mammography is not beside the project")
@pytest.mark.parametrize("loss", ["cross_entropy", "focal"])
def test_the_defaults_rank_the_rare_cases_of_mammography(tmp_path: Path, loss: str) -> None:
    with MAMMOGRAPHY.open() as file:
        rows = list(csv.reader(file))
    cells = {f"column_{index}": [float(row[index]) for row in rows] for index in range(6)}
    label = ["yes" if row[6] == "'1'" else "no" for row in rows]
    spec = {"loss": {"kind": loss}, "learner": {"kind": "mlp"}, "training": {"max_epochs": 5, "batch_size": None}}

    (end,) = [
        message for message in run(make_task(tmp_path, [spec], cells | {"event": label}), lambda _: False) if isinstance(message, Succeeded)
    ]

    assert (end.evaluation.splits["test"].metrics["average_precision"].value or 0) > 0.6

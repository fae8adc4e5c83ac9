"""The files of predictions, as a whole run leaves them."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from counterweight.contracts.artifacts import PREDICTIONS_FILE
from counterweight.contracts.evaluation import OPERATING_POINTS_FILE, Fixed
from counterweight.contracts.messages import Succeeded
from counterweight.statistics.operating import operating_point, unpacked
from tests.training.tables import make_task, three_blobs, two_blobs
from workers.training.model import load_model
from workers.training.trainer import run


def finished(tmp_path: Path, **task: object) -> tuple[Path, Succeeded, Path]:
    """Run a task; return its folder, its end, and the table it trained on."""
    made = make_task(tmp_path, **task)  # type: ignore[arg-type]
    (end,) = [message for message in run(made, lambda _: False, lambda: 1.0) if isinstance(message, Succeeded)]
    return Path(made.members[0].folder), end, Path(made.table)


def test_every_validation_and_test_row_is_there_with_its_number_and_label(tmp_path: Path) -> None:
    folder, end, table = finished(tmp_path)

    rows = pq.read_table(folder / PREDICTIONS_FILE).to_pylist()

    labels = pq.read_table(table)["event"].to_pylist()
    for part, split in end.evaluation.splits.items():
        assert sum(row["part"] == part for row in rows) == split.rows
    assert all(row["label"] == labels[row["row"]] for row in rows)
    assert len({row["row"] for row in rows}) == len(rows)


@pytest.mark.parametrize("loss", [{"kind": "cross_entropy"}, {"kind": "focal"}, {"kind": "ldam"}], ids=lambda loss: loss["kind"])
def test_a_loaded_model_says_of_each_row_what_the_file_says(tmp_path: Path, loss: dict[str, str]) -> None:
    folder, _, table = finished(tmp_path, specs=[{"loss": loss}], cells=two_blobs(rows=3000, positives=900))

    rows = pq.read_table(folder / PREDICTIONS_FILE)

    log_p = load_model(folder).log_probabilities(pq.read_table(table))[rows["row"].to_numpy()]
    found = np.stack([rows["probability:no"].to_numpy(), rows["probability:yes"].to_numpy()], axis=1)
    np.testing.assert_allclose(np.exp(log_p), found, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_loaded_model_decides_as_the_file_does(tmp_path: Path, classes: int) -> None:
    cells, target = (two_blobs(rows=1200, positives=200), "event") if classes == 2 else (three_blobs(rows=3000), "kind")
    specs = [{"evaluation": {"threshold": {"policy": "max_balanced_accuracy"}}}]
    folder, end, table = finished(tmp_path, specs=specs, cells=cells, target=target)

    model, rows = load_model(folder), pq.read_table(folder / PREDICTIONS_FILE)
    called = model.decisions(model.log_probabilities(pq.read_table(table))[rows["row"].to_numpy()])

    agreeing = np.array(model.description.classes)[called] == np.array(rows["predicted"].to_pylist())
    assert agreeing.mean() > 0.999
    assert model.description.threshold == end.evaluation.threshold
    assert classes == 2 or any(model.description.threshold.offsets.values())


def test_the_file_repeats_the_evaluation(tmp_path: Path) -> None:
    folder, end, _ = finished(tmp_path)

    rows = pq.read_table(folder / PREDICTIONS_FILE, filters=[("part", "=", "test")]).to_pylist()

    test = end.evaluation.splits["test"]
    own = [row[f"probability:{row['label']}"] for row in rows]
    assert -np.log(own).mean() == pytest.approx(test.metrics["log_loss"].value)
    assert np.mean([row["label"] == row["predicted"] for row in rows]) == pytest.approx(test.metrics["accuracy"].value)
    assert [row["predicted"] == "yes" for row in rows] == [row["probability:yes"] >= (end.evaluation.threshold.value or 0) for row in rows]


def test_several_classes_have_a_probability_and_a_raw_score_each(tmp_path: Path) -> None:
    folder, end, _ = finished(tmp_path, cells=three_blobs(), target="kind")

    table = pq.read_table(folder / PREDICTIONS_FILE)

    assert [name for name in table.column_names if ":" in name] == [
        f"{kind}:{label}" for kind in ("probability", "raw_score") for label in "xyz"
    ]
    assert OPERATING_POINTS_FILE not in {file.name for file in end.files}


@pytest.mark.parametrize("positive", ["yes", "no"])
def test_the_operating_point_of_the_job_s_own_threshold_is_its_evaluation(tmp_path: Path, positive: str) -> None:
    folder, end, _ = finished(tmp_path, specs=[{"evaluation": {"positive_label": positive, "threshold": {"policy": "max_mcc"}}}])
    own = end.evaluation.threshold

    assert own.value is not None
    index = ("no", "yes").index(positive)
    point = operating_point(unpacked(folder / OPERATING_POINTS_FILE), Fixed(value=own.value), ("no", "yes"), index, 0.95)

    for part, split in end.evaluation.splits.items():
        assert point.splits[part].confusion == split.confusion
        assert point.splits[part].metrics == {name: split.metrics[name] for name in point.splits[part].metrics}

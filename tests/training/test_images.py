"""Training on images: what is prepared of them, what comes out, and what is refused."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file

from counterweight.contracts.artifacts import PREDICTIONS_FILE
from counterweight.contracts.images import PIXELS_FILE, PIXELS_NAME
from counterweight.contracts.messages import Failed, Log, Succeeded, TrainerTask
from tests.training.images import digest, image_task, read_images, shaded
from workers.training.image_encoding import ImageEncoding
from workers.training.model import load_model
from workers.training.prepared import Prepared, TableFile, prepare
from workers.training.trainer import run


def prepared(task: TrainerTask, test: TableFile | None = None) -> Prepared:
    file = TableFile(Path(task.table), task.table_sha256)
    return prepare(file, test, task.facts, task.members[0].spec, Path(task.cache_folder), threads=1)


def pixels_of(task: TrainerTask) -> torch.Tensor:
    return load_file(Path(task.table).with_name(PIXELS_FILE))[PIXELS_NAME]


def test_pixels_come_by_part_with_the_labels_of_their_rows(tmp_path: Path) -> None:
    task = image_task(tmp_path)

    for found in (prepared(task), prepared(task)):  # made, and from the cache
        labels = pq.read_table(task.table).column("label").to_pylist()
        assert torch.equal(found.features, pixels_of(task)[found.rows])
        assert [found.classes[label] for label in found.labels] == [labels[row] for row in found.rows]


def test_pixels_are_scaled_by_the_training_rows_alone(tmp_path: Path) -> None:
    found = prepared(image_task(tmp_path))

    assert isinstance(found.encoding, ImageEncoding)
    training = found.features[found.span("train")].double()
    assert found.encoding.mean == pytest.approx(training.mean(dim=(0, 2, 3)).tolist())
    assert found.encoding.std == pytest.approx(training.std(dim=(0, 2, 3), correction=0).tolist())


def test_the_cache_holds_no_second_copy_of_the_pixels(tmp_path: Path) -> None:
    task = image_task(tmp_path)
    prepared(task)

    (cached,) = Path(task.cache_folder).glob("*.safetensors")

    assert sorted(load_file(cached)) == ["labels", "rows"]


def test_copies_of_an_image_stay_in_one_part(tmp_path: Path) -> None:
    files = shaded({"dark": 30, "light": 30})
    task = image_task(tmp_path, files=files | {f"dark/copy{index:02}.png": files["dark/0000.png"] for index in range(10)})

    found = prepared(task)

    images = [image.numpy().tobytes() for image in found.features]
    parts = [set(images[found.span(part)]) for part in ("train", "validation", "test")]
    assert sum(map(len, parts)) == len(set.union(*parts))
    assert any("10 rows are exact copies" in note for note in found.notes)


def test_images_of_one_group_stay_together(tmp_path: Path) -> None:
    files = shaded({"ill": 40, "well": 40})
    table = "file,label,patient\n" + "".join(f"{name},{name.split('/')[0]},{place % 13}\n" for place, name in enumerate(files))
    split = {"kind": "group", "column": "patient"}
    task = image_task(tmp_path, [{"split": split, "exclude": ["file", "patient"]}], files | {"labels.csv": table.encode()})

    found = prepared(task)

    patients = np.array(pq.read_table(task.table).column("patient").to_pylist())[found.rows]
    parts = [set(patients[found.span(part)]) for part in ("train", "validation", "test")]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 13


def test_test_images_may_come_from_a_dataset_of_their_own(tmp_path: Path) -> None:
    task = image_task(tmp_path, [{"split": {"kind": "stratified", "test": 0.0}, "test_dataset_id": "ds_2"}])
    other = read_images(tmp_path / "other", shaded({"dark": 5, "dim": 4, "light": 3}, seed=9))
    table = tmp_path / "other" / other.table

    for found in (prepared(task, TableFile(table, digest(table))), prepared(task, TableFile(table, digest(table)))):
        assert found.part_rows[2] == 12
        assert torch.equal(found.features[found.span("test")], load_file(table.with_name(PIXELS_FILE))[PIXELS_NAME])


def test_pixels_that_are_not_those_of_the_table_are_refused(tmp_path: Path) -> None:
    task = image_task(tmp_path)
    pixels = pixels_of(task).clone()
    pixels[3, 0, 0, 0] += 1
    path = Path(task.table).with_name(PIXELS_FILE)
    path.unlink()
    save_file({PIXELS_NAME: pixels}, path)

    (failed,) = [message for message in run(task, lambda _: False) if isinstance(message, Failed)]

    assert (failed.failure_class, "row 3" in failed.detail) == ("data", True)


def test_members_train_together_and_are_judged_like_those_of_tables(tmp_path: Path) -> None:
    task = image_task(tmp_path, [{}, {"loss": {"kind": "focal"}}])

    messages = list(run(task, lambda _: False))

    done = [message for message in messages if isinstance(message, Succeeded)]
    assert [message.job_id for message in done] == ["job_0", "job_1"]
    for message in done:
        assert set(message.evaluation.splits) == {"validation", "test"}
        assert message.evaluation.splits["test"].metrics["accuracy"].value is not None
    assert any("resnet over 192 inputs" in message.message for message in messages if isinstance(message, Log))


NUMBERS = {"columns": {"often": {"type": "numeric"}}}
SGD = {"max_epochs": 3, "batch_size": 16, "optimizer": "sgd", "learning_rate": 0.1, "schedule": "step", "ema": 0.0, "early_stopping": None}


def test_a_network_trained_again_on_validation_images_too_is_judged(tmp_path: Path) -> None:
    task = image_task(tmp_path, [{"training": SGD | {"refit": True, "early_stopping": {"metric": "log_loss"}}}])

    assert isinstance(list(run(task, lambda _: False))[-1], Succeeded)


def test_images_may_count_by_a_column_of_weights(tmp_path: Path) -> None:
    files = shaded({"dark": 20, "light": 20})
    table = "file,label,often\n" + "".join(f"{name},{name.split('/')[0]},{place % 3 + 1}\n" for place, name in enumerate(files))
    exclude = ["file", "often"]
    task = image_task(tmp_path, [{"weight_column": "often", "exclude": exclude}], files | {"labels.csv": table.encode()}, NUMBERS)

    assert isinstance(list(run(task, lambda _: False))[-1], Succeeded)


@pytest.mark.parametrize("loss", [{"kind": "cross_entropy"}, {"kind": "ldam"}])
def test_an_exported_model_says_of_pixels_what_was_predicted(loss: dict[str, str], tmp_path: Path) -> None:
    task = image_task(tmp_path, [{"loss": loss, "training": SGD}])
    assert isinstance(list(run(task, lambda _: False))[-1], Succeeded)
    folder = Path(task.members[0].folder)

    predictions = pq.read_table(folder / PREDICTIONS_FILE).to_pydict()
    log_p = load_model(folder).log_probabilities(pixels_of(task)[predictions["row"]])

    for index, label in enumerate(("dark", "dim", "light")):
        np.testing.assert_allclose(np.exp(log_p[:, index]), predictions[f"probability:{label}"], atol=1e-5)


def test_a_model_of_images_takes_no_table(tmp_path: Path) -> None:
    task = image_task(tmp_path)
    list(run(task, lambda _: False))

    with pytest.raises(TypeError, match="pixels"):
        load_model(Path(task.members[0].folder)).log_probabilities(pq.read_table(task.table))

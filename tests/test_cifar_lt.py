"""The long-tailed benchmark: what it cuts, what it asks for, how it counts errors; and a run on a few images of the real archive."""

import io
import subprocess
import sys
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import cifar_lt
from benchmarks.cifar_lt import CASES, CLASSES, class_rows, long_tailed, spec_of
from counterweight.contracts.jobs import JobSpec

ROOT = Path(__file__).parents[1]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An archive laid out as that of CIFAR-10, with the number of each image for its bytes."""
    path = tmp_path / "images.tar.gz"
    with tarfile.open(path, "w:gz", compresslevel=1) as files:
        for part, rows in (("test", 100), ("train", 500)):
            for label in CLASSES:
                for row in range(rows):
                    info = tarfile.TarInfo(f"{part}/{label}/{row:04}.jpg")
                    content = f"{part} {label} {row}".encode()
                    info.size = len(content)
                    files.addfile(info, io.BytesIO(content))
    return path


def test_the_tail_is_the_published_one() -> None:
    assert class_rows(1.0) == [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]


def test_the_training_images_are_cut_and_all_test_images_kept(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar_lt, "MOST_ROWS", 500)

    with tarfile.open(fileobj=io.BytesIO(long_tailed(archive, share=1.0))) as cut:
        names = [member.name.split("/") for member in cut]
        contents = [stream.read() for member in cut if (stream := cut.extractfile(member)) is not None]

    counts = Counter((part, label) for part, label, _ in names)
    assert [counts["train", label] for label in CLASSES] == class_rows(1.0)
    assert {counts["test", label] for label in CLASSES} == {100}
    assert [counts["validation", label] for label in CLASSES] == [0, *[50] * 9]
    assert len(set(contents)) == len(contents)


def test_weighted_losses_take_the_steps_of_the_papers() -> None:
    weights = {label: 2.0**place for place, label in enumerate(CLASSES)}

    plain, weighted = (
        JobSpec.model_validate({"dataset_id": "ds_1", **spec_of(CASES[name], weights, 200, "auto", 0)}).training
        for name in ("cross-entropy", "class-balanced")
    )

    assert (plain.learning_rate, plain.weight_decay) == (0.1, 2e-4)
    assert weighted.learning_rate == pytest.approx(0.1 * 10 / 1023)
    assert weighted.learning_rate * weighted.weight_decay == pytest.approx(0.1 * 2e-4)


def test_an_error_is_a_test_row_whose_largest_output_is_another_class_s(tmp_path: Path) -> None:
    outputs = np.eye(10)[[0, 1, 2, 3]]
    table = {"part": ["test", "test", "test", "validation"], "label": [CLASSES[0], CLASSES[1], CLASSES[5], CLASSES[9]]}
    table |= {f"raw_score:{label}": outputs[:, place].tolist() for place, label in enumerate(CLASSES)}
    pq.write_table(pa.table(table), tmp_path / "predictions.parquet")

    assert cifar_lt.error_rate(tmp_path / "predictions.parquet") == pytest.approx(1 / 3)


@pytest.mark.skipif(not cifar_lt.ARCHIVE.exists(), reason="the folder of public data sets is not beside the project")
def test_it_runs_on_a_few_images() -> None:
    arguments = ["--epochs", "1", "--device", "cpu", "--share", "0.004", "--losses", "focal,LDAM-DRW"]

    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.cifar_lt", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=500, check=False
    )

    assert ran.returncode == 0, ran.stderr
    assert "lossy" in ran.stdout
    assert all(published in ran.stdout for published in ("29.62", "22.97"))

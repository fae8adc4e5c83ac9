"""Small datasets of images, read from archives as uploads are, and tasks to train on them."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from counterweight.contracts.datasets import DatasetOptions
from counterweight.contracts.messages import Ingested, IngestTask, Member, TrainerTask
from tests.ingest.pictures import encoded, zipped
from tests.training.tables import make_spec
from workers.ingest.reader import ingest

SPEC = {
    "target": "label",
    "exclude": ["file"],
    "learner": {"kind": "resnet", "depth": 20, "width": 4},
    "training": {"max_epochs": 2, "batch_size": 16},
}


def shaded(rows: Mapping[str, int], side: int = 8, seed: int = 0) -> dict[str, bytes]:
    """Noise in a folder for each class, brighter from class to class."""
    source = np.random.default_rng(seed)
    files = {}
    for place, (label, count) in enumerate(rows.items()):
        for index in range(count):
            pixels = source.integers(60 * place, 60 * place + 100, (side, side, 3), dtype=np.uint8)
            files[f"{label}/{index:04}.png"] = encoded(Image.fromarray(pixels))
    return files


def read_images(folder: Path, files: Mapping[str, bytes], **options: Any) -> Ingested:
    """Read an archive of these files into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / "upload.zip"
    source.write_bytes(zipped(files))
    answer = ingest(IngestTask(source=str(source), folder=str(folder), options=DatasetOptions(**options), memory_limit_mb=512, threads=1))
    assert isinstance(answer, Ingested), answer
    return answer


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def image_task(
    folder: Path,
    specs: Sequence[Mapping[str, Any]] = ({},),
    files: Mapping[str, bytes] | None = None,
    options: Mapping[str, Any] | None = None,
) -> TrainerTask:
    """Return a task with one member for each spec, which names only what the test is about."""
    read = read_images(folder / "data", shaded({"dark": 40, "dim": 20, "light": 12}) if files is None else files, **(options or {}))
    table = folder / "data" / read.table
    members = []
    for index, spec in enumerate(specs):
        home = folder / f"job_{index}"
        home.mkdir()
        members.append(Member(job_id=f"job_{index}", spec=make_spec(**{**SPEC, **spec}), folder=str(home)))
    (folder / "cache").mkdir()
    return TrainerTask(
        members=members,
        table=str(table),
        table_sha256=digest(table),
        facts=read.facts,
        cache_folder=str(folder / "cache"),
        device="cpu",
        threads=1,
    )

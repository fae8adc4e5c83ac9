"""Long-tailed CIFAR-10 by the recipe of Cui et al., 2019 and Cao et al., 2019, through the service as any user would train it.

`python -m benchmarks.cifar_lt` cuts the training images to n_c = 5000 / 100^(c / 9), uploads them with all test images, trains a
ResNet-32 with each loss for 200 epochs, and prints the test errors beside the published ones. It needs a GPU for that: some 5e15
multiplications and additions, and about 4 GB of its memory. `--epochs 1 --device cpu --share 0.02` only shows that everything works.
"""

import argparse
import io
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from pydantic import TypeAdapter

from counterweight.contracts.losses import AnyLoss, Loss
from counterweight.contracts.terms import ClassCounts
from tests.server import Server

LOSS: TypeAdapter[AnyLoss] = TypeAdapter(Loss)

ARCHIVE = Path(__file__).parents[2] / "shared" / "data" / "cifar10" / "cifar10-images.tar.gz"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
MOST_ROWS, IMBALANCE = 5000, 100
VALIDATION_ROWS = 50
"""Of each class, from the images that the cut leaves over: of the first class none are left."""
RECIPE: dict[str, Any] = {
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "weight_decay": 2e-4,
    "batch_size": 128,
    "schedule": "step",
    "ema": 0.0,
    "early_stopping": None,
}


@dataclass(frozen=True)
class Case:
    """A loss, its published error, and where that was published; `is_weighted` from the first epoch on."""

    loss: Mapping[str, Any]
    published: float
    source: str
    is_weighted: bool = False


CASES: dict[str, Case] = {
    "cross-entropy": Case({"kind": "cross_entropy"}, 29.64, "both"),
    "focal": Case({"kind": "focal", "gamma": 1.0}, 29.62, "both, gamma 1"),
    "class-balanced": Case(
        {"kind": "balanced_cross_entropy", "weights": "effective_number", "beta": 0.9999}, 27.63, "Cao et al., re-weighted", True
    ),
    "class-balanced focal": Case({"kind": "focal", "gamma": 1.0, "alpha": {}}, 25.43, "Cui et al., the best of their grid", True),
    "LDAM-DRW": Case({"kind": "ldam"}, 22.97, "Cao et al."),
}


def class_rows(share: float) -> list[int]:
    """Return the training rows of each class, in class order; `share` of all of them, but 3 at least."""
    return [max(3, int(share * MOST_ROWS * IMBALANCE ** (-place / (len(CLASSES) - 1)))) for place in range(len(CLASSES))]


def long_tailed(archive: Path, share: float, seed: int = 0) -> bytes:
    """Return a tar archive with the long-tailed training images, validation images of what is left over, and all test images."""
    source = np.random.default_rng(seed)
    orders = {label: source.permutation(MOST_ROWS) for label in CLASSES}
    ranks = {label: np.argsort(order) for label, order in orders.items()}
    wanted = dict(zip(CLASSES, class_rows(share), strict=True))
    seen: Counter[tuple[str, str]] = Counter()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as copy:
        for part, label, content in _images(archive):
            place = seen[part, label]
            seen[part, label] += 1
            if part == "train":
                part = _part_of(int(ranks[label][place]), wanted[label], share)
            elif place >= share * 1000:
                part = ""
            if part:
                info = tarfile.TarInfo(f"{part}/{label}/{place:04}.jpg")
                info.size = len(content)
                copy.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _part_of(rank: int, wanted: int, share: float) -> str:
    """Return the part of the training image that was drawn as number `rank` of its class; nothing for one that is left out."""
    if rank < wanted:
        return "train"
    return "validation" if rank < wanted + max(3, share * VALIDATION_ROWS) else ""


def _images(archive: Path) -> Iterator[tuple[str, str, bytes]]:
    with tarfile.open(archive, mode="r|gz") as files:
        for member in files:
            if member.isfile():
                part, label, _ = member.name.split("/")
                stream = files.extractfile(member)
                assert stream is not None
                yield part, label, stream.read()


def spec_of(case: Case, weights: Mapping[str, float], epochs: int, device: str, seed: int) -> dict[str, Any]:
    """Return the job of a case; `weights` are those that the service gives the classes by effective number, of mean 1 over the rows."""
    training, loss = {**RECIPE, "max_epochs": epochs, "seed": seed}, dict(case.loss)
    if "alpha" in loss:
        loss["alpha"] = dict(weights)
    if case.is_weighted:
        # The papers' weights are of mean 1 over the classes. With the learning rate less and the decay more by the same factor every
        # step is the same as with theirs.
        factor = len(weights) / sum(weights.values())
        training |= {"learning_rate": RECIPE["learning_rate"] * factor, "weight_decay": RECIPE["weight_decay"] / factor}
    return {
        "loss": loss,
        "learner": {"kind": "resnet", "depth": 32},
        "split": {"kind": "column", "column": "part"},
        "training": training,
        "resources": {"device": device},
    }


def error_rate(predictions: Path) -> float:
    """Return the share of test rows whose largest output is not that of their class, as the papers count."""
    table = pq.read_table(predictions, filters=[("part", "==", "test")])
    outputs = np.stack([table.column(f"raw_score:{label}").to_numpy() for label in CLASSES], axis=1)
    labels = np.array([CLASSES.index(label) for label in table.column("label").to_pylist()])
    return float((outputs.argmax(axis=1) != labels).mean())


def _weights(share: float) -> dict[str, float]:
    counts = ClassCounts(CLASSES, tuple(class_rows(share)), None)
    return dict(zip(CLASSES, LOSS.validate_python(CASES["class-balanced"].loss).terms(counts).weights, strict=True))


def _error_of(server: Server, job: Mapping[str, Any], folder: Path) -> float:
    path = folder / f"{job['id']}.parquet"
    path.write_bytes(server.client.get(f"/jobs/{job['id']}/artifacts/predictions.parquet").content)
    return error_rate(path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--archive", type=Path, default=ARCHIVE)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--share", type=float, default=1.0, help="use only this share of every class, to see that it works")
    parser.add_argument("--losses", default=",".join(CASES), help=f"some of {', '.join(CASES)}")
    parser.add_argument("--seed", type=int, default=0, help="of the initial weights, batches and augmentation")
    parser.add_argument("--hours", type=float, default=24.0, help="give up after so many")
    arguments = parser.parse_args()
    chosen = {name: CASES[name] for name in arguments.losses.split(",")}
    content = long_tailed(arguments.archive, arguments.share)
    with (
        tempfile.TemporaryDirectory() as home,
        Server(Path(home) / "home", devices="cpu" if arguments.device == "cpu" else "auto") as server,
    ):
        dataset_id = server.upload(content)
        weights = _weights(arguments.share)
        specs = {name: spec_of(case, weights, arguments.epochs, arguments.device, arguments.seed) for name, case in chosen.items()}
        jobs = {name: server.submit(dataset_id, **spec) for name, spec in specs.items()}
        print(f"CIFAR-10 with {class_rows(arguments.share)} training rows, ResNet-32, {arguments.epochs} epochs", flush=True)
        print("the images are a lossy (JPEG) copy of the published ones, so that errors differ from theirs for that alone\n", flush=True)
        print(f"{'loss':22}{'error %':>9}{'published':>11}  where")
        ended = {name: server.finish(job_id, timeout_s=3600 * arguments.hours) for name, job_id in jobs.items()}
        for name, job in ended.items():
            error = f"{100 * _error_of(server, job, Path(home)):.2f}" if job["state"] == "succeeded" else job["state"]
            trouble = f"  {job['error']['detail']}" if job["error"] else ""
            print(f"{name:22}{error:>9}{CASES[name].published:>11.2f}  {CASES[name].source}{trouble}", flush=True)
        device = {job["resolved"]["environment"]["device_name"] for job in ended.values() if job["resolved"]}
        print(f"\non {', '.join(device)}, {max(job['usage']['run_s'] for job in ended.values()):,.0f} s for the longest job")
    return 0 if all(job["state"] == "succeeded" for job in ended.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())

"""The table as tensors: made once for a table, split, target and encoding, and shared by all jobs that train on it."""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from counterweight.contracts.base import View
from counterweight.contracts.datasets import TableFacts
from counterweight.contracts.images import IMAGE_COLUMN
from counterweight.contracts.jobs import ResolvedSpec
from counterweight.contracts.splits import PARTS, Part, PartCounts, column_of
from workers.training import dividing, encoding, image_encoding, table
from workers.training.architectures import AnyEncoding
from workers.training.bins import Bins, fit_bins
from workers.training.dividing import Divisible, divide, notes_on_test_rows
from workers.training.errors import UnusableData
from workers.training.files import digest, write_whole
from workers.training.image_encoding import ImageEncoding, check_pixels, fit_images, open_pixels
from workers.training.row_weights import check_class_weights, row_weights


@dataclass(frozen=True)
class Prepared:
    """Features (rows, width) or pixels (rows, 3, side, side), labels and row numbers in the file they come from.

    Training rows come first, then validation, then test. `key` names all that they were made from, `bins` cut the numbers into pieces,
    and `weights` tell how much each training and validation row counts, where the job names a column of them.
    """

    key: str
    features: Tensor
    labels: Tensor
    rows: Tensor
    part_rows: tuple[int, int, int]
    classes: tuple[str, ...]
    encoding: AnyEncoding
    bins: Bins
    notes: list[str]
    weights: Tensor | None = None

    def span(self, part: Part) -> slice:
        """Return where the rows of a part lie."""
        index = PARTS.index(part)
        start = sum(self.part_rows[:index])
        return slice(start, start + self.part_rows[index])

    @property
    def span_of_both(self) -> slice:
        """Return where training and validation rows lie."""
        return slice(0, self.span("validation").stop)

    def class_counts(self, part: Part) -> tuple[int, ...]:
        """Return the rows of each class in a part, in class order."""
        return tuple(torch.bincount(self.labels[self.span(part)], minlength=len(self.classes)).tolist())

    def row_weights(self, rows: slice) -> Tensor | None:
        """Return how much each of some training and validation rows counts, at mean 1; None where all count alike."""
        return None if self.weights is None else self.weights[rows] / self.weights[rows].mean()

    def class_weights(self, rows: slice) -> tuple[float, ...]:
        """Return what each class counts among some training and validation rows: for its rows, or for their weights."""
        weights = self.row_weights(rows)
        return tuple(torch.bincount(self.labels[rows], weights, minlength=len(self.classes)).tolist())


class _Description(View):
    """The JSON beside the tensors: what they were made from, and their digest."""

    key: str
    sha256: str
    part_rows: tuple[int, int, int]
    classes: tuple[str, ...]
    encoding: AnyEncoding
    bins: Bins
    notes: list[str]


@dataclass(frozen=True)
class TableFile:
    """A canonical table on the disk."""

    path: Path
    sha256: str


def prepare(
    file: TableFile, test_file: TableFile | None, facts: TableFacts, spec: ResolvedSpec, cache_folder: Path, threads: int
) -> Prepared:
    """Return the prepared table of a job, from the cache where it is whole and fits, else made anew and put there."""
    if spec.target != facts.target:
        raise UnusableData(
            f"target {spec.target!r} is not the one the dataset was read with ({facts.target!r})", "read the dataset again with it"
        )
    key = _key(file, test_file, facts, spec)
    found = _load(cache_folder, key, file, test_file)
    if found is not None:
        return found
    prepared = _make(file, test_file, facts, spec, threads)
    _store(cache_folder, key, prepared)
    # Through the file also the first time: all jobs then share its pages.
    return _load(cache_folder, key, file, test_file) or prepared


def _key(file: TableFile, test_file: TableFile | None, facts: TableFacts, spec: ResolvedSpec) -> str:
    """Return a name for everything the tensors depend on."""
    parts = {
        "table": file.sha256,
        "test_table": None if test_file is None else test_file.sha256,
        "columns": [[column.name, column.type] for column in facts.columns],
        "classes": [item.label for item in facts.classes],
        "target": spec.target,
        "exclude": sorted(set(spec.exclude)),
        "weights": spec.weight_column,
        "split": spec.split.model_dump(mode="json"),
        "encoding": [encoding.VERSION, image_encoding.VERSION],
        "division": dividing.VERSION,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _make(file: TableFile, test_file: TableFile | None, facts: TableFacts, spec: ResolvedSpec, threads: int) -> Prepared:
    columns = [
        column for column in facts.columns if column.name not in {spec.target, spec.weight_column, column_of(spec.split), *spec.exclude}
    ]
    whole = table.read_table(file.path, facts.columns, spec.target, threads)
    classes = tuple(item.label for item in facts.classes)
    labels = _labels(table.column_codes(whole, spec.target), classes, spec.target)
    divisible = Divisible(whole, labels, classes, facts.columns, columns)
    divided = divide(divisible, spec.split)
    parts, notes = divided.parts, divided.notes
    order = np.argsort(parts, kind="stable")
    counts = np.bincount(parts, minlength=len(PARTS)).tolist()
    labels, rows, apart = labels[order], order, None
    if test_file is not None:
        apart = table.read_table(test_file.path, columns, spec.target, threads)
        test_labels = _labels(table.column_codes(apart, spec.target), classes, spec.target)
        notes = [*notes, *notes_on_test_rows(divisible, parts, replace(divisible, table=apart, labels=test_labels))]
        labels = np.concatenate([labels, test_labels])
        rows, counts[-1] = np.concatenate([order, np.arange(len(apart))]), len(apart)
    for part, count in zip(PARTS, counts, strict=True):
        if count == 0:
            raise UnusableData(f"no row is in the {part} part", "name train, validation and test rows in the split column")
    weights = None
    if spec.weight_column is not None:
        weights = row_weights(whole, spec.weight_column)[order][: counts[0] + counts[1]]
        check_class_weights(weights[: counts[0]], labels[: counts[0]], classes)
    part_rows, train = (counts[0], counts[1], counts[2]), np.flatnonzero(parts == 0)
    fitted: AnyEncoding
    bins = Bins()
    if facts.kind == "image":
        fitted = fit_images(_checked_pixels(file, whole), train)
        if test_file is not None and apart is not None:
            _checked_pixels(test_file, apart)
        features = _gathered_pixels(file, test_file, torch.from_numpy(rows), part_rows)
    else:
        fitted = encoding.fit_encoding(whole, columns, train)
        features = torch.from_numpy(np.concatenate([fitted.encode(whole)[order], *([] if apart is None else [fitted.encode(apart)])]))
        bins = fit_bins(fitted, features[: counts[0]].numpy(), labels[: counts[0]], len(classes))
    return Prepared(
        key=_key(file, test_file, facts, spec),
        features=features,
        labels=torch.from_numpy(labels),
        rows=torch.from_numpy(rows),
        part_rows=part_rows,
        classes=classes,
        encoding=fitted,
        bins=bins,
        notes=[*notes, *fitted.notes],
        weights=None if weights is None else torch.from_numpy(weights),
    )


def _checked_pixels(file: TableFile, rows: pa.Table) -> Tensor:
    cells, pixels = table.column_codes(rows, IMAGE_COLUMN), open_pixels(file.path)
    check_pixels(pixels, [cells.texts[code] for code in cells.codes])
    return pixels


def _gathered_pixels(file: TableFile, test_file: TableFile | None, rows: Tensor, part_rows: PartCounts) -> Tensor:
    """Return the pixels of `rows`, of which the test rows may be those of another file."""
    own = len(rows) if test_file is None else len(rows) - part_rows[-1]
    pixels = open_pixels(file.path)[rows[:own]]
    return pixels if test_file is None else torch.cat([pixels, open_pixels(test_file.path)[rows[own:]]])


def _labels(cells: table.Codes, classes: tuple[str, ...], target: str) -> NDArray[np.int64]:
    """Return each row's class number; UnusableData for a label that is no class."""
    place = {label: index for index, label in enumerate(classes)}
    labels = np.array([*(place.get(text, -1) for text in cells.texts), -1], dtype=np.int64)[cells.codes]
    if (labels < 0).any():
        row = int(np.flatnonzero(labels < 0)[0])
        raise UnusableData(f"row {row} of the table has a label in {target!r} that is none of the classes", "upload the file again")
    return labels


def _store(folder: Path, key: str, prepared: Prepared) -> None:
    tensors = {"labels": prepared.labels, "rows": prepared.rows}
    if not isinstance(prepared.encoding, ImageEncoding):  # pixels lie on the disk already, and would be there again for every split
        tensors["features"] = prepared.features
    if prepared.weights is not None:
        tensors["weights"] = prepared.weights
    sha256 = write_whole(folder / f"{key}.safetensors", save(tensors))
    description = _Description(
        key=key,
        sha256=sha256,
        part_rows=prepared.part_rows,
        classes=prepared.classes,
        encoding=prepared.encoding,
        bins=prepared.bins,
        notes=prepared.notes,
    )
    write_whole(folder / f"{key}.json", description.model_dump_json().encode())


def _load(folder: Path, key: str, file: TableFile, test_file: TableFile | None) -> Prepared | None:
    """Return what the cache holds under `key`, memory-mapped; None when it is absent, torn or not what its description says.

    Pixels are gathered from where they were read to.
    """
    path = folder / f"{key}.safetensors"
    try:
        description = _Description.model_validate_json((folder / f"{key}.json").read_bytes())
        if description.key != key or digest(path) != description.sha256:
            return None
        tensors = load_file(path)
    except (OSError, ValidationError, SafetensorError):
        return None
    rows = tensors["rows"]
    is_of_images = isinstance(description.encoding, ImageEncoding)
    return Prepared(
        key=key,
        features=_gathered_pixels(file, test_file, rows, description.part_rows) if is_of_images else tensors["features"],
        labels=tensors["labels"],
        rows=rows,
        part_rows=description.part_rows,
        classes=description.classes,
        encoding=description.encoding,
        bins=description.bins,
        notes=description.notes,
        weights=tensors.get("weights"),
    )

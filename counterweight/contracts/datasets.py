"""Datasets: how to read a file, and what was found in it."""

import codecs
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator

from counterweight.contracts.base import LabelChanges, Labels, Name, Request, Timestamp, View
from counterweight.contracts.images import LARGEST_SIDE, SMALLEST_SIDE
from counterweight.contracts.problems import Problem
from counterweight.contracts.splits import Part

DatasetFormat = Literal["csv", "parquet", "zip", "tar"]
DatasetKind = Literal["tabular", "image"]
DatasetState = Literal["processing", "ready", "failed"]
CellType = Literal["numeric", "categorical", "boolean", "datetime", "text"]
ColumnType = CellType | Literal["image"]

MOST_CATEGORIES = 64
"""So many texts of a column are told apart; the rarer ones are one category."""

NULL_VALUES = ("", "NA", "N/A", "?", "null", "NaN")
"""Cells that mean "missing" unless the user lists others."""


class ColumnOptions(Request):
    """What a user knows better than the file shows."""

    type: CellType


class DatasetOptions(Request):
    """How to read the file; whatever is left out is found from its content."""

    format: DatasetFormat | None = None
    delimiter: Annotated[str, StringConstraints(min_length=1, max_length=1)] | None = None
    decimal: Literal[".", ","] | None = None
    header: bool | None = None
    encoding: str | None = Field(default=None, description="The name of a Python codec, such as `latin-1`.")
    null_values: list[str] | None = Field(default=None, max_length=100, description="Cells that mean missing, instead of the usual ones.")
    columns: dict[str, ColumnOptions] = {}
    target: Annotated[int, Field(ge=0)] | str | None = Field(
        default=None, description="The column to predict: its name, or its 0-based position."
    )
    rename_labels: dict[str, str] = Field(
        default={}, max_length=1000, description="New names for labels of the target, such as one file's `>50K.` for another's `>50K`."
    )
    positive_label: str | None = Field(default=None, description="The event, such as `fraud`; the rarer of two classes when left out.")
    exclude: list[str] = Field(default=[], description="Columns that are never features.")
    group_column: str | None = Field(default=None, description="Whose cells tell the group for splits by group; never a feature.")
    time_column: str | None = Field(default=None, description="Whose cells tell the time for splits by time; never a feature.")
    weight_column: str | None = Field(
        default=None, description="Whose cells tell how much a row counts in training, 0 or more; never a feature."
    )
    image_size: Annotated[int, Field(ge=SMALLEST_SIDE, le=LARGEST_SIDE)] | None = Field(
        default=None,
        description="Of image archives: the side of the squares that images are scaled to; their own where all are equal squares, else 64.",
    )

    @field_validator("encoding")
    @classmethod
    def _is_a_text_codec(cls, name: str | None) -> str | None:
        if name is None:
            return None
        try:
            if codecs.lookup(name)._is_text_encoding:
                return codecs.lookup(name).name
        except LookupError:
            pass
        raise ValueError(f"{name!r} is not a text encoding that Python knows; for example utf-8, latin-1, cp1252, utf-16")


class NewDataset(Request):
    """Read the bytes of an existing dataset again, with other options."""

    source_dataset_id: str
    name: Name | None = None
    options: DatasetOptions = DatasetOptions()


class DatasetPatch(Request):
    """What of a dataset can be changed, as a merge patch (RFC 7396): what is left out stays, and a label that is null goes."""

    name: Name = Field(default_factory=str)
    labels: LabelChanges = Field(default_factory=dict)


class Column(View):
    """One column as it was read. `missing` and `distinct` count cells; `distinct` leaves missing cells out."""

    name: str
    type: ColumnType
    missing: int
    distinct: int


def names_rows(distinct: int, known: int) -> bool:
    """Whether a text of which so many of the known cells differ names rows and describes none."""
    return distinct > MOST_CATEGORIES and distinct > known / 2


class ClassShare(View):
    """One class of the target: its label as written in the file, and how many rows have it."""

    label: str
    count: int
    fraction: float


class TableFacts(View):
    """What reading a file found out: everything the service needs to know of it without opening it again.

    `classes` are in class order: numbers by value, text by code point. `part_classes` holds, for each column whose cells are all
    `train`, `validation` or `test`, the rows of each class in each part. `image_size` is the side in pixels of every image, null of tables.
    """

    kind: DatasetKind = "tabular"
    format: DatasetFormat
    rows: int
    columns: list[Column]
    target: str | None
    positive_label: str | None
    classes: list[ClassShare]
    part_classes: dict[str, dict[Part, dict[str, int]]] = {}
    image_size: int | None = None
    notes: list[str] = []


class DatasetView(View):
    """A dataset as the service answers it."""

    id: str
    object: Literal["dataset"] = "dataset"
    version: int
    name: str
    labels: Labels
    project: str
    state: DatasetState
    error: Problem | None
    sha256: str
    bytes: int
    format: DatasetFormat | None
    kind: DatasetKind | None
    image_size: int | None
    rows: int | None
    rows_refused: int
    columns: list[Column]
    target: str | None
    positive_label: str | None
    classes: list[ClassShare]
    imbalance_ratio: float | None
    notes: list[str]
    created_at: Timestamp
    created_by: str | None
    links: dict[str, str]

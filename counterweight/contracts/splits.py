"""How the rows of a dataset are divided into training, validation and test rows."""

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from counterweight.contracts.base import Request

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, Part, Part] = ("train", "validation", "test")
PartCounts = tuple[int, int, int]


class SharedSplit(Request):
    """Parts of given shares of all rows."""

    validation: float = Field(default=0.15, gt=0, lt=1)
    test: float = Field(default=0.2, ge=0, lt=1, description="0 where `test_dataset_id` brings the test rows, 1 / `folds` under folds.")

    @model_validator(mode="after")
    def _something_is_left_to_train_on(self) -> Self:
        if self.validation + self.test >= 1:
            raise ValueError(f"validation {self.validation} and test {self.test} leave no rows to train on; their sum must be under 1")
        return self

    @property
    def minimum_rows(self) -> int:
        """Return how many rows a class needs: one for each part."""
        return len(PARTS) if self.test > 0 else len(PARTS) - 1

    def part_counts(self, rows: int) -> PartCounts:
        """Divide `rows` rows of one class into train, validation and test by largest remainder, at least one each of a part with a share.

        Ties go to the earlier part. ValueError under `minimum_rows` rows.
        """
        if rows < self.minimum_rows:
            raise ValueError(f"{rows} rows cannot give one row to each of {self.minimum_rows} parts")
        counts = _largest_remainder(rows, [1 - self.validation - self.test, self.validation, self.test][: self.minimum_rows])
        return counts[0], counts[1], counts[2] if self.test > 0 else 0


class FoldedSplit(SharedSplit):
    """Shares, or for the test rows one of `folds` folds: jobs that differ in `fold` alone test, together, on every row once."""

    folds: Annotated[int, Field(ge=2, le=100)] | None = Field(default=None, description="The test rows are one of so many folds.")
    fold: Annotated[int, Field(ge=0, lt=100)] | None = Field(default=None, description="Which of the folds, from 0.")
    seed: int = Field(default=0, ge=0, lt=2**32)

    @model_validator(mode="before")
    @classmethod
    def _a_fold_is_the_test_part(cls, given: Any) -> Any:
        folds = given.get("folds") if isinstance(given, dict) else None
        if isinstance(folds, int) and folds > 1 and "test" not in given:
            return {**given, "test": 1 / folds}
        return given

    @model_validator(mode="after")
    def _the_fold_is_one_of_the_folds(self) -> Self:
        if (self.folds is None) != (self.fold is None):
            raise ValueError("folds and fold go together: in how many folds the rows fall, and which of them, from 0, is the test part")
        if self.folds is None or self.fold is None:
            return self
        if self.fold >= self.folds:
            raise ValueError(f"fold {self.fold} is none of {self.folds} folds, which are counted from 0")
        if self.test != 1 / self.folds:
            raise ValueError(f"one of {self.folds} folds is the test part; leave test out")
        return self

    @property
    def minimum_rows(self) -> int:
        """Return how many rows a class needs: one for each part, and under folds one for each fold."""
        # Two folds: one of three rows may leave a single row for both training and validation.
        return super().minimum_rows if self.folds is None else max(self.folds, 4 if self.folds == 2 else len(PARTS))

    @property
    def parts_named(self) -> str:
        """Say what the rows are divided into."""
        if self.folds is not None:
            return f"{self.folds} folds"
        return "training, validation and test" if self.test > 0 else "training and validation"

    def class_parts(self, counts: Sequence[int]) -> list[PartCounts]:
        """Divide classes of `counts` rows into train, validation and test; ValueError for one under `minimum_rows`."""
        if self.folds is None or self.fold is None:
            return [self.part_counts(rows) for rows in counts]
        tested = [fold[self.fold] for fold in self.fold_counts(counts)]
        return [(*self.rest_counts(rows - test), test) for rows, test in zip(counts, tested, strict=True)]

    def fold_counts(self, counts: Sequence[int]) -> list[list[int]]:
        """Return the rows of each class (first index) in each fold; folds of a class, and folds as a whole, differ by one row at most."""
        folds = self.folds or 1
        for rows in counts:
            if rows < self.minimum_rows:
                raise ValueError(f"{rows} rows cannot be divided into {folds} folds; {self.minimum_rows} are needed")
        # Rows in class order are dealt out one by one, so that the folds with one row more are others for the next class.
        ends = list(accumulate(counts))
        dealt = [[(end + folds - 1 - fold) // folds for fold in range(folds)] for end in [0, *ends]]
        return [[after - before for before, after in zip(*pair, strict=True)] for pair in pairwise(dealt)]

    def rest_counts(self, rows: int) -> tuple[int, int]:
        """Divide the rows of a class that are not tested on into train and validation, at least one each."""
        share = self.validation / (1 - self.test)
        train, validation = _largest_remainder(rows, [1 - share, share])
        return train, validation


class StratifiedSplit(FoldedSplit):
    """Random parts with the same share of every class. Rows that are exact copies of each other are kept in one part."""

    kind: Literal["stratified"] = "stratified"


class GroupSplit(FoldedSplit):
    """Random parts that share no group, and the classes as evenly as groups allow; a row without group is one by itself."""

    kind: Literal["group"] = "group"
    column: str | None = Field(default=None, description="Whose cells tell the group; the dataset's `group_column` when left out.")


class TimeSplit(SharedSplit):
    """The latest rows test, those before them validate, the earliest train; rows of the same time stay together."""

    kind: Literal["time"] = "time"
    column: str | None = Field(default=None, description="Numbers or moments; the dataset's `time_column` when left out.")


class ColumnSplit(Request):
    """Parts named by a column that holds `train`, `validation` or `test` in every row."""

    kind: Literal["column"] = "column"
    column: str


AnySplit = StratifiedSplit | GroupSplit | TimeSplit | ColumnSplit
Split = Annotated[AnySplit, Field(discriminator="kind")]


def column_of(split: AnySplit) -> str | None:
    """Return the column that divides the rows, where one does."""
    return None if isinstance(split, StratifiedSplit) else split.column


def _largest_remainder(rows: int, shares: Sequence[float]) -> list[int]:
    """Divide rows by shares, at least one each; ties go to the earlier share."""
    # Rounded, so that a tie is a tie: 10 * 0.65 is 6.499999999999999.
    exact = [round(rows * share, 9) for share in shares]
    counts = [int(value) for value in exact]
    by_remainder = sorted(range(len(shares)), key=lambda part: counts[part] - exact[part])
    for part in by_remainder[: rows - sum(counts)]:
        counts[part] += 1
    for part in range(len(shares)):
        if counts[part] == 0:
            counts[counts.index(max(counts))] -= 1
            counts[part] = 1
    return counts

"""How the rows of a dataset are divided into training, validation and test rows."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from counterweight.contracts.base import Request

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, Part, Part] = ("train", "validation", "test")


class StratifiedSplit(Request):
    """Random parts with the same share of every class."""

    kind: Literal["stratified"] = "stratified"
    validation: float = Field(default=0.15, gt=0, lt=1)
    test: float = Field(default=0.2, ge=0, lt=1, description="0 where `test_dataset_id` brings the test rows.")
    seed: int = Field(default=0, ge=0, lt=2**32)

    @model_validator(mode="after")
    def _something_is_left_to_train_on(self) -> Self:
        if self.validation + self.test >= 1:
            raise ValueError(f"validation {self.validation} and test {self.test} leave no rows to train on; their sum must be under 1")
        return self

    @property
    def minimum_rows(self) -> int:
        """Return how many rows a class needs: one for each part."""
        return len(PARTS) if self.test > 0 else len(PARTS) - 1

    def part_counts(self, rows: int) -> tuple[int, int, int]:
        """Divide `rows` rows of one class into train, validation and test by largest remainder, at least one each of a part with a share.

        Ties go to the earlier part. ValueError under `minimum_rows` rows.
        """
        if rows < self.minimum_rows:
            raise ValueError(f"{rows} rows cannot give one row to each of {self.minimum_rows} parts")
        shares = [1 - self.validation - self.test, self.validation, self.test]
        # Rounded, so that a tie is a tie: 10 * 0.65 is 6.499999999999999.
        exact = [round(rows * share, 9) for share in shares]
        counts = [int(value) for value in exact]
        by_remainder = sorted(range(3), key=lambda part: counts[part] - exact[part])
        for part in by_remainder[: rows - sum(counts)]:
            counts[part] += 1
        for part in range(self.minimum_rows):
            if counts[part] == 0:
                counts[counts.index(max(counts))] -= 1
                counts[part] = 1
        return counts[0], counts[1], counts[2]


class ColumnSplit(Request):
    """Parts named by a column that holds `train`, `validation` or `test` in every row."""

    kind: Literal["column"] = "column"
    column: str


Split = Annotated[StratifiedSplit | ColumnSplit, Field(discriminator="kind")]

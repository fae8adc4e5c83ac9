"""The piecewise-linear embedding of numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor


@dataclass(frozen=True)
class Pieces:
    """Piece i rises from 0 to 1 while feature `column[i]` goes through its stretch. Gorishniy et al., 2022, arXiv:2203.05556."""

    column: Tensor
    start: Tensor
    slope: Tensor

    @classmethod
    def of(cls, edges: Sequence[Sequence[float]], dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> "Pieces":
        """Return the pieces between the edges of each numeric column; these columns come first among the features."""
        column: list[int] = []
        start: list[float] = []
        slope: list[float] = []
        for index, cuts in enumerate(edges):
            for low, high in pairwise(cuts):
                column.append(index)
                start.append(low)
                slope.append(1 / (high - low))
        return cls(
            torch.tensor(column, dtype=torch.int64, device=device),
            torch.tensor(start, dtype=dtype, device=device),
            torch.tensor(slope, dtype=dtype, device=device),
        )

    def embed(self, features: Tensor) -> Tensor:
        """Return the embedding (..., pieces) of features (..., inputs)."""
        # Step by step and in place: this runs once a batch, and `clamp` with two bounds is ten times as slow on a CPU.
        rise = features.index_select(-1, self.column).sub_(self.start).mul_(self.slope)
        return rise.clamp_min_(0).clamp_max_(1)


@dataclass(frozen=True)
class Grid:
    """The same pieces, one row for each column: `start` and `slope` are (columns, most pieces), with slope 0 where a column has fewer."""

    start: Tensor
    slope: Tensor

    @classmethod
    def of(cls, edges: Sequence[Sequence[float]], dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> "Grid":
        """Return the pieces between the edges of each column."""
        most = max(max(0, len(cuts) - 1) for cuts in edges)
        start, slope = (torch.zeros(len(edges), most, dtype=torch.float64) for _ in range(2))
        for index, cuts in enumerate(edges):
            ends = torch.tensor(cuts, dtype=torch.float64)
            start[index, : max(0, len(cuts) - 1)] = ends[:-1]
            slope[index, : max(0, len(cuts) - 1)] = 1 / ends.diff()
        return cls(start.to(device, dtype), slope.to(device, dtype))

    def embed(self, numbers: Tensor) -> Tensor:
        """Return the embedding (..., columns, most pieces) of numbers (..., columns)."""
        rise = (numbers[..., None] - self.start).mul_(self.slope)
        return rise.clamp_min_(0).clamp_max_(1)


def count_pieces(edges: Sequence[Sequence[float]]) -> int:
    return sum(max(0, len(cuts) - 1) for cuts in edges)

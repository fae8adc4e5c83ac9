"""Rows of a table, and how they come to the network."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from workers.training.networks import Architecture

RESIDENT_FLOATS = 2**26
"""So many numbers of embedded rows are kept; more are embedded batch by batch."""


@dataclass(frozen=True)
class Rows:
    """Features (N, …) and labels (N,) on the device, and how much each row counts (N,), at mean 1; None where all count alike."""

    features: Tensor
    labels: Tensor
    weights: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)


class Source:
    """Rows as a network's first weights see them."""

    def __init__(self, network: Architecture, features: Tensor) -> None:
        self._network, self._features = network, features
        numbers = network.embedded(features[:1]).numel() * len(features)
        self._embedded = network.embedded(features) if numbers <= RESIDENT_FLOATS else None

    def take(self, index: Tensor) -> Tensor:
        """Return the inputs (G, N, …) of the rows at `index` (G, N)."""
        if self._embedded is None:
            inputs = self._network.embedded(self._features.index_select(0, index.flatten()))
        else:
            inputs = self._embedded.index_select(0, index.flatten())
        return inputs.view(*index.shape, *inputs.shape[1:])

    def parts(self, most: int) -> Iterator[Tensor]:
        """Yield the inputs (1, n, …) of all rows in order, cut into parts of nearly equal length, `most` rows at most."""
        rows = self._features if self._embedded is None else self._embedded
        for part in rows.tensor_split(max(1, -(-len(rows) // most))):
            yield (self._network.embedded(part) if self._embedded is None else part)[None]

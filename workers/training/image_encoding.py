"""The pixels of a dataset of images, and what a network scales them by."""

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from counterweight.contracts.base import View
from counterweight.contracts.images import PIXEL_DIGEST_BYTES, PIXELS_FILE, PIXELS_NAME
from workers.training.errors import UnusableData

VERSION = 1
"""Raised with every change of what images are turned into; older prepared caches are then left aside."""

_AT_ONCE = 4096

Colour = tuple[float, float, float]


class ImageEncoding(View):
    """Images stay bytes, (3, image_size, image_size) each; the network scales them by `mean` and `std` of the training rows."""

    kind: Literal["image"] = "image"
    version: int = VERSION
    image_size: int
    mean: Colour
    std: Colour
    notes: list[str] = []

    @property
    def width(self) -> int:
        return 3 * self.image_size**2

    @property
    def places(self) -> dict[str, list[int]]:
        """Return by column which features are made of it: no column but that of the images is any."""
        return {}


def open_pixels(table: Path) -> Tensor:
    """Return the pixels (rows, 3, side, side) beside a canonical table, mapped into memory."""
    try:
        return load_file(table.with_name(PIXELS_FILE))[PIXELS_NAME]
    except (OSError, KeyError, SafetensorError):
        raise UnusableData("the pixels of the images cannot be read", "upload the archive again") from None


def check_pixels(pixels: Tensor, digests: Sequence[str]) -> None:
    """Raise UnusableData unless each image is the one its cell in the table names."""
    if len(pixels) != len(digests):
        raise UnusableData(f"there are the pixels of {len(pixels)} images for {len(digests)} rows", "upload the archive again")
    for row, digest in enumerate(digests):
        if blake2b(pixels[row].numpy().tobytes(), digest_size=PIXEL_DIGEST_BYTES).hexdigest() != digest:
            raise UnusableData(f"the pixels of row {row} are not those that were read", "upload the archive again")


def fit_images(pixels: Tensor, rows: NDArray[np.int64]) -> ImageEncoding:
    """Return the encoding whose mean and deviation of each colour are those of these rows: exact, in whatever order they come."""
    sums, squares = np.zeros(3, np.int64), np.zeros(3, np.int64)
    for start in range(0, len(rows), _AT_ONCE):
        values = pixels[torch.from_numpy(rows[start : start + _AT_ONCE])].to(torch.int64)
        sums += values.sum(dim=(0, 2, 3)).numpy()
        squares += values.square().sum(dim=(0, 2, 3)).numpy()
    side = int(pixels.shape[-1])
    count = len(rows) * side**2
    mean = sums / count
    # One colour throughout tells nothing, and is not blown up.
    std = np.sqrt(np.maximum(squares / count - mean**2, 0.0))
    red, green, blue = mean.tolist()
    of_red, of_green, of_blue = np.where(std < 1.0, 1.0, std).tolist()
    return ImageEncoding(image_size=side, mean=(red, green, blue), std=(of_red, of_green, of_blue))

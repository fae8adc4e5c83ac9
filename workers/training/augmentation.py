"""Images moved and mirrored at random while training, each member's from its own generator."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Augmentation = Literal["crop_flip", "crop", "none"]

MARGIN = 8
"""Images are padded by a side's eighth, 4 pixels of 32, before a square of their size is cut out anywhere."""


def augmented(pixels: Tensor, augmentation: Augmentation, draws: Sequence[torch.Generator]) -> Tensor:
    """Return pixels as `augmentation` has them: (N, 3, S, S) where all K members share them and their lots, else (K, N, 3, S, S).

    A member draws the same alone and among others, and members of one seed draw the same. What is padded is black.
    """
    if augmentation == "none":
        return pixels
    side, rows = pixels.shape[-1], pixels.shape[-4]
    lots = [_drawn(rows, side // MARGIN, augmentation, draw, pixels.device) for draw in draws]
    is_shared = pixels.dim() == 4 and len({draw.initial_seed() for draw in draws}) == 1
    if is_shared:
        return _cut(pixels, lots[0], side // MARGIN)
    of_members = pixels if pixels.dim() == 5 else pixels.expand(len(draws), *pixels.shape)
    return torch.stack([_cut(images, lot, side // MARGIN) for images, lot in zip(of_members, lots, strict=True)])


def _drawn(rows: int, margin: int, augmentation: Augmentation, draw: torch.Generator, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return how far down and right each square is cut (rows, 2), and which are mirrored (rows,)."""
    moves = torch.randint(0, 2 * margin + 1, (rows, 2), generator=draw, device=device)
    if augmentation == "crop":
        return moves, torch.zeros(rows, dtype=torch.bool, device=device)
    return moves, torch.randint(0, 2, (rows,), generator=draw, device=device) == 1


def _cut(images: Tensor, lot: tuple[Tensor, Tensor], margin: int) -> Tensor:
    moves, mirrored = lot
    side = images.shape[-1]
    along = torch.arange(side, device=images.device)
    down = moves[:, :1] + along
    right = moves[:, 1:] + torch.where(mirrored[:, None], along.flip(0), along)
    padded = F.pad(images, (margin, margin, margin, margin))
    row, channel = torch.arange(len(images), device=images.device), torch.arange(images.shape[1], device=images.device)
    return padded[row[:, None, None, None], channel[:, None, None], down[:, None, :, None], right[:, None, None, :]]

"""Images moved and mirrored at random: only that, and by each member's own lot."""

import pytest
import torch

from workers.training.augmentation import Augmentation, augmented

SIDE, MARGIN = 16, 2


def images(rows: int = 5) -> torch.Tensor:
    """Images without a black pixel."""
    return torch.randint(1, 256, (rows, 3, SIDE, SIDE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def is_moved(image: torch.Tensor, original: torch.Tensor) -> bool:
    """Say whether an image is the original moved by up to the margin, with black where nothing came from."""
    padded = torch.zeros(3, SIDE + 2 * MARGIN, SIDE + 2 * MARGIN, dtype=torch.uint8)
    padded[:, MARGIN:-MARGIN, MARGIN:-MARGIN] = original
    cuts = [padded[:, down : down + SIDE, right : right + SIDE] for down in range(2 * MARGIN + 1) for right in range(2 * MARGIN + 1)]
    return any(torch.equal(image, cut) for cut in cuts)


def test_without_augmentation_images_stay() -> None:
    assert torch.equal(augmented(images(), "none", generators(0)), images())


def test_a_crop_moves_an_image_and_pads_with_black() -> None:
    moved = augmented(images(), "crop", generators(0))

    assert all(is_moved(image, original) for image, original in zip(moved, images(), strict=True))
    assert not torch.equal(moved, images())


def test_half_of_the_images_are_mirrored() -> None:
    many = images(400)

    moved = augmented(many, "crop_flip", generators(0))

    # Before it is moved: a mirrored image's crop is a crop of the mirrored image.
    mirrored = sum(is_moved(image, original.flip(2)) for image, original in zip(moved, many, strict=True))
    plain = sum(is_moved(image, original) for image, original in zip(moved, many, strict=True))
    assert mirrored + plain == 400
    assert 150 < mirrored < 250


@pytest.mark.parametrize("augmentation", ["crop", "crop_flip"])
def test_a_member_draws_among_others_what_it_draws_alone(augmentation: Augmentation) -> None:
    together = augmented(images(), augmentation, generators(4, 7))

    alone = augmented(images(), augmentation, generators(7))

    assert torch.equal(together[1], alone)
    assert not torch.equal(together[0], together[1])


def test_members_of_one_seed_share_one_set_of_images() -> None:
    assert augmented(images(), "crop_flip", generators(7, 7)).shape == images().shape
    assert torch.equal(augmented(images(), "crop_flip", generators(7, 7)), augmented(images(), "crop_flip", generators(7)))


def test_members_of_one_seed_draw_on_alike_when_one_has_gone() -> None:
    both = generators(7, 7)
    augmented(images(), "crop_flip", both)

    later = augmented(images(), "crop_flip", both[1:])

    one = generators(7)
    augmented(images(), "crop_flip", one)
    assert torch.equal(later, augmented(images(), "crop_flip", one))


def test_images_of_members_own_are_moved_each_by_its_lot() -> None:
    own = torch.stack([images(), images().flip(0)])

    moved = augmented(own, "crop_flip", generators(4, 7))

    assert torch.equal(moved[1], augmented(images().flip(0), "crop_flip", generators(7)))

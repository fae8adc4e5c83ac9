"""The first walk through an archive of images: which there are, how large, and what is odd about them. None is decoded yet."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from counterweight.contracts.images import LARGEST_SIDE
from workers.ingest.errors import Unreadable, listed, shown
from workers.ingest.formats import Found
from workers.ingest.members import Member, members
from workers.ingest.pictures import Look, look_at

LABELS_FILE = "labels.csv"
TOTAL_PIXEL_LIMIT = 64_000_000_000
"""Decoding so many pixels takes a quarter of an hour."""
USUAL_SIDE = 64
_NEVER_IMAGES = ("readme", "readme.md", "readme.txt", "license", "license.md", "license.txt", "thumbs.db", "desktop.ini")
_TABLES = (".csv", ".tsv", ".parquet", ".arff", ".json", ".jsonl", ".gz")


@dataclass
class Survey:
    """What an archive holds. `labels` is the file of labels, if there is one."""

    names: list[str] = field(default_factory=list)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    labels: Member | None = None
    left_out: list[str] = field(default_factory=list)
    remarks: dict[str, list[str]] = field(default_factory=dict)

    def side(self, wanted: int | None) -> int:
        """Return the side of the squares that all images become: as asked, or their own where they are equal squares, or USUAL_SIDE."""
        if wanted is not None:
            return wanted
        shorter = max(min(size) for size in self.sizes)
        are_equal_squares = set(self.sizes) == {(shorter, shorter)}
        return shorter if are_equal_squares and shorter <= LARGEST_SIDE else min(USUAL_SIDE, shorter)

    def notes(self, side: int) -> list[str]:
        """Say what was left out, and what reading changed."""
        notes = []
        if self.left_out:
            notes.append(f"Files that are no images were left out: {listed(self.left_out)}.")
        if set(self.sizes) != {(side, side)}:
            notes.append(
                f"Every image was scaled so that its shorter side has {side} pixels, and cut to {side} x {side} around its middle; they "
                f"had {_spoken_sizes(self.sizes)}. options.image_size sets another side."
            )
        for remark, names in self.remarks.items():
            have = "image has" if len(names) == 1 else "images have"
            notes.append(f"{len(names)} {have} {remark}, first {shown(names[0])}.")
        return notes


def survey(path: Path, found: Found) -> Survey:
    """Look at every member of the archive; Unreadable, by its name, for a file that is no image."""
    result, pixels = Survey(), 0
    for member in members(path, found):
        base = PurePosixPath(member.name).name.lower()
        if _is_litter(member.name, base):
            result.left_out.append(member.name)
        elif base == LABELS_FILE:
            if result.labels is not None:
                raise Unreadable("bad_labels_file", f"The archive has {shown(result.labels.name)} and {shown(member.name)}; keep one.")
            result.labels = member
        else:
            look = _look(member, base)
            _note(result, member.name, look)
            pixels += look.width * look.height
            if pixels > TOTAL_PIXEL_LIMIT:
                raise Unreadable(
                    "too_many_pixels", f"The images have more than {TOTAL_PIXEL_LIMIT:,} pixels; make them smaller before uploading."
                )
    if not result.names:
        raise Unreadable(
            "no_images", f"The archive holds no image; put the images of each class in a folder of its name{_instead(result)}."
        )
    return result


def _look(member: Member, base: str) -> Look:
    if member.name == "[Content_Types].xml":
        raise Unreadable("unsupported_format", "The file is an office document, perhaps an Excel workbook; save the sheet as CSV.")
    if base.endswith(_TABLES):
        raise Unreadable(
            "unsupported_format",
            f"The archive holds {shown(member.name)}, which is no image; unpack a table and upload the file itself (labels of images "
            f"stand in a file named {LABELS_FILE}).",
        )
    return look_at(member.content, member.name)


def _note(result: Survey, name: str, look: Look) -> None:
    result.names.append(name)
    result.sizes[look.width, look.height] += 1
    for remark in look.remarks:
        result.remarks.setdefault(remark, []).append(name)


def _is_litter(name: str, base: str) -> bool:
    """Say whether a file is one that systems and people leave beside images."""
    return base in _NEVER_IMAGES or any(step.startswith(".") or step == "__MACOSX" for step in name.split("/"))


def _instead(result: Survey) -> str:
    return f", beside {listed(result.left_out)}" if result.left_out else ""


def _spoken_sizes(sizes: Counter[tuple[int, int]]) -> str:
    if len(sizes) == 1:
        ((width, height),) = sizes
        return f"{width} x {height}"
    smallest, largest = min(sizes, key=lambda size: size[0] * size[1]), max(sizes, key=lambda size: size[0] * size[1])
    return f"{len(sizes)} sizes, from {smallest[0]} x {smallest[1]} to {largest[0]} x {largest[1]}"

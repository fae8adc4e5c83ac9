"""Units of rows that must stay together, placed into parts so that each part has its share of each class."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.training.copies import Keys, mixed

Ints = NDArray[np.int64]

MOST_DRAWS = 16
PLACED_IN_ALL = 20_000
"""Several draws are made and the most even one is kept, while the kinds of units that are placed stay within this number."""


@dataclass(frozen=True)
class Units:
    """Rows that stay together: the unit of each row (rows,), from 0, the rows' classes (rows,), and what each unit is drawn by."""

    of_row: Ints
    labels: Ints
    keys: Keys

    @classmethod
    def of(cls, together: Keys, labels: Ints, keys: Keys) -> "Units":
        """Make a unit of the rows with the same number in `together`; its key is the least of its rows', whatever their order."""
        _, of_row = np.unique(together, return_inverse=True)
        least = np.full(of_row.max(initial=-1) + 1, np.iinfo(np.uint64).max, dtype=np.uint64)
        np.minimum.at(least, of_row, keys)
        return cls(of_row, labels, least)

    def of_rows(self, rows: Ints) -> "Units":
        """Return the units that some rows are of, as if there were no others."""
        kept, of_row = np.unique(self.of_row[rows], return_inverse=True)
        return Units(of_row, self.labels[rows], self.keys[kept])


@dataclass(frozen=True)
class _Alike:
    """Units with the same number of rows of each class: `rows[i]` of `classes[i]`; `units` stand in the order of their keys."""

    classes: Ints
    rows: Ints
    units: Ints
    key: np.uint64


def place(units: Units, wants: Ints) -> Ints:
    """Return the part of each row, when part p is to have `wants[p, c]` of the rows of class c (parts, classes), which are all of them.

    Units of several rows come first, those that hold most of a class at the head: each is drawn into a part that has room for it, the
    likelier the more room there is. Single rows then fill what is left: where they suffice, each part has just what it wants. The last
    units of a class go to parts that have none of it. The draw hangs on the units' keys alone.
    """
    kinds = _kinds(units, wants)
    draws = max(1, min(MOST_DRAWS, PLACED_IN_ALL // max(1, len(kinds))))
    best: tuple[tuple[int, float], Ints] | None = None
    for number in range(draws):
        part_of_unit, have = _draw(kinds, wants, len(units.keys), number)
        off = (int(((have == 0) & (wants > 0)).sum()), float(((have - wants) ** 2 / np.maximum(wants, 1)).sum()))
        if best is None or off < best[0]:
            best = off, part_of_unit
        if off == (0, 0.0):
            break
    assert best is not None
    return best[1][units.of_row]


def _kinds(units: Units, wants: Ints) -> list[_Alike]:
    """Return the kinds of units in the order they are placed in."""
    classes = wants.shape[1]
    # Each pair of a unit and a class with how many rows it has, ordered by unit and class.
    pairs, rows = np.unique(units.of_row * classes + units.labels, return_counts=True)
    unit, label = pairs // classes, pairs % classes
    alike: dict[tuple[bytes, bytes], list[int]] = defaultdict(list)
    starts = np.flatnonzero(np.diff(unit, prepend=-1))
    by_key = np.argsort(units.keys, kind="stable")
    slices = list(zip(starts.tolist(), [*starts[1:].tolist(), len(unit)], strict=True))
    is_plain = np.diff([*starts, len(unit)]) == 1
    for index in by_key[~is_plain[by_key]].tolist():
        start, end = slices[index]
        alike[label[start:end].tobytes(), rows[start:end].tobytes()].append(index)
    kinds = [
        _Alike(np.frombuffer(key[0], np.int64), np.frombuffer(key[1], np.int64), np.array(same), units.keys[same[0]])
        for key, same in alike.items()
    ]
    # Units of one class, mostly by far the most, without a turn of Python each.
    plain = by_key[is_plain[by_key]]
    of_plain, of_rows = label[starts[plain]], rows[starts[plain]]
    _, first, kind = np.unique(of_rows * classes + of_plain, return_index=True, return_inverse=True)
    of_kind = np.split(plain[np.argsort(kind, kind="stable")], np.bincount(kind).cumsum()[:-1]) if len(plain) else []
    for index, same in enumerate(of_kind):
        kinds.append(_Alike(of_plain[first[index]][None], of_rows[first[index]][None], same, units.keys[same[0]]))
    totals = wants.sum(axis=0)
    return sorted(kinds, key=lambda kind: (kind.rows.sum() == 1, -(kind.rows / totals[kind.classes]).max(), kind.key))


def _draw(kinds: Sequence[_Alike], wants: Ints, units: int, number: int) -> tuple[Ints, Ints]:
    """Return the part of each unit, and the rows of each class that each part then has (parts, classes)."""
    part_of_unit, have = np.zeros(units, dtype=np.int64), np.zeros_like(wants)
    left = np.zeros(wants.shape[1], dtype=np.int64)
    for kind in kinds:
        left[kind.classes] += len(kind.units)
    for kind in kinds:
        done = 0
        for part, count in _shares(kind, wants, have, left, number):
            part_of_unit[kind.units[done : done + count]] = part
            have[part, kind.classes] += count * kind.rows
            left[kind.classes] -= count
            done += count
    return part_of_unit, have


def _shares(kind: _Alike, wants: Ints, have: Ints, left: Ints, number: int) -> Iterator[tuple[int, int]]:
    """Yield a part and how many of the kind's units it gets, until all have gone; what was yielded is in `have` and `left` at the next."""
    classes, rows, waiting = kind.classes, kind.rows, len(kind.units)
    chance = float(mixed(np.array([kind.key + np.uint64(number)]))[0]) / 2**64
    while waiting:
        room = wants[:, classes] - have[:, classes]
        lacking = (have[:, classes] == 0) & (wants[:, classes] > 0)
        # Whom the units of other kinds that are still to come may not suffice for.
        pressing = lacking[:, lacking.sum(axis=0) > left[classes] - waiting].any(axis=1)
        fitting = np.maximum(room // rows, 0).min(axis=1)
        if pressing.sum() >= waiting or not fitting.any():
            part = _least_off(rows, wants[:, classes], have[:, classes], pressing if pressing.any() else np.ones_like(pressing))
            yield part, 1
            waiting -= 1
            continue
        need = np.where(fitting > 0, (room * (rows / wants[:, classes].sum(axis=0))).sum(axis=1), 0.0)[::-1]
        # Systematic sampling: each part gets its share of the units to within one, and that one with the chance left over. A hair is
        # kept from the ends, so that shares that are whole stay so.
        ends = np.floor(need.cumsum() / need.sum() * waiting + 1e-4 + (1 - 2e-4) * chance).astype(np.int64)
        counts = np.minimum(np.diff(ends, prepend=0)[::-1], fitting)
        for part in np.flatnonzero(pressing & (counts == 0)).tolist():
            counts[counts.argmax()] -= 1
            counts[part] = 1
        for part in reversed(range(len(counts))):
            if counts[part] > 0:
                yield part, int(counts[part])
        waiting -= int(counts.sum())


def _least_off(rows: Ints, wants: Ints, have: Ints, allowed: NDArray[np.bool_]) -> int:
    """Return the allowed part that `rows` more bring the least over its share: by the growth of (have - want)^2 / want."""
    growth = ((2 * (have - wants) + rows) * rows / np.maximum(wants, 1)).sum(axis=1)
    return int(np.where(allowed, growth, np.inf).argmin())

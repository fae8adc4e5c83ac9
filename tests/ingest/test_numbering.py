"""Columns that number the rows are told of when a file is read."""

import pytest

from tests.ingest.conftest import Read


def told(read: Read, cells: list[str], **options: object) -> list[str]:
    rows = [f"{cell},{number % 3},{'yes' if number % 2 else 'no'}" for number, cell in enumerate(cells)]
    return [note for note in read("\n".join(["n,x,y", *rows, ""]), target="y", **options).facts.notes if "whole number" in note]


def test_a_column_of_ids_is_told_of_with_the_way_out(read: Read) -> None:
    (note,) = told(read, [str(7919 * number % 100_003) for number in range(100)])

    assert "'n'" in note
    assert "options.exclude" in note


@pytest.mark.parametrize(
    "cells",
    [
        [f"{number}.5" for number in range(100)],
        ["7", *map(str, range(1, 100))],
        ["", *map(str, range(1, 100))],
        [str(number) for number in range(20)],
    ],
    ids=["measured", "one twice", "one missing", "few rows"],
)
def test_numbers_that_need_not_be_ids_are_not(read: Read, cells: list[str]) -> None:
    assert told(read, cells) == []


@pytest.mark.parametrize("options", [{"exclude": ["n"]}, {"group_column": "n"}, {"weight_column": "n"}], ids=lambda it: next(iter(it)))
def test_a_column_that_has_a_use_of_its_own_is_not(read: Read, options: dict[str, object]) -> None:
    assert told(read, list(map(str, range(1, 101))), **options) == []

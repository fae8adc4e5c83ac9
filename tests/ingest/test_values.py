"""No cell changes its value on the way in; what may surprise is told in a note."""

from datetime import datetime

import pytest

from tests.ingest.conftest import Read

LATE = 3000


def column_of(cells: list[str], delimiter: str = ",") -> str:
    """A table whose column `x` holds the cells, and whose target `y` alternates."""
    return f"x{delimiter}y\n" + "".join(f"{cell}{delimiter}{'yes' if row % 2 else 'no'}\n" for row, cell in enumerate(cells))


def test_a_late_fraction_among_integers_is_kept(read: Read) -> None:
    result = read(column_of([str(row) for row in range(LATE)] + ["150000.5"]), target="y")

    assert result.column("x")[-1] == 150000.5


def test_words_of_yes_and_no_stay_words(read: Read) -> None:
    result = read(column_of(["yes", "no", "yes", "true"]), target="y")

    assert result.column("x") == ["yes", "no", "yes", "true"]
    assert result.type_of("x") == "categorical"


def test_dates_that_are_not_iso_stay_text(read: Read) -> None:
    result = read(column_of(["1/12/2017", "2/12/2017", "3/12/2017"]), target="y")

    assert result.column("x") == ["1/12/2017", "2/12/2017", "3/12/2017"]


def test_iso_dates_are_moments(read: Read) -> None:
    result = read(column_of(["2026-01-31", "2026-02-01 10:30", "?"]), target="y")

    assert result.type_of("x") == "datetime"
    assert result.column("x") == [datetime(2026, 1, 31), datetime(2026, 2, 1, 10, 30), None]


def test_one_late_date_that_is_none_makes_the_column_text(read: Read) -> None:
    result = read(column_of(["2026-01-31"] * LATE + ["soon"]), target="y")

    assert result.column("x")[-2:] == ["2026-01-31", "soon"]


@pytest.mark.parametrize("offset", [0, LATE])
def test_codes_that_begin_with_a_zero_stay_text_and_are_noted(offset: int, read: Read) -> None:
    result = read(column_of(["12"] * offset + ["007", "12", "12"]), target="y")

    assert result.column("x")[offset] == "007"
    assert any("'007'" in note and f"line {offset + 2}" in note for note in result.facts.notes)


def test_codes_that_begin_with_a_zero_are_numbers_when_told(read: Read) -> None:
    result = read(column_of(["007", "12"]), target="y", columns={"x": {"type": "numeric"}})

    assert result.column("x") == [7.0, 12.0]


@pytest.mark.parametrize("offset", [0, LATE])
def test_integers_beyond_a_double_stay_exact(offset: int, read: Read) -> None:
    large = [2**53 + 1, -(2**63), 2**63 - 1]

    result = read(column_of(["5"] * offset + [str(value) for value in large]), target="y")

    assert result.column("x")[offset:] == large
    assert result.type_of("x") == "numeric"


def test_integers_beyond_64_bits_stay_text_and_are_noted(read: Read) -> None:
    result = read(column_of(["12345678901234567890123", "5", "6"]), target="y")

    assert result.column("x") == ["12345678901234567890123", "5", "6"]
    assert any("'12345678901234567890123'" in note for note in result.facts.notes)


@pytest.mark.parametrize("cell", ["1_000", "0x1A", "1e", "--1", "1,5e", "٣", "1d5", "0b1"])
def test_what_only_looks_like_a_number_stays_text(cell: str, read: Read) -> None:
    result = read(column_of(["1"] * LATE + [cell], delimiter=";"), target="y", delimiter=";")

    assert result.column("x")[-1] == cell


@pytest.mark.parametrize("cell", ["5.", ".5", "+5", "-0.5", "1e5", "1E-3", " 5", "5 ", "-.5e+1", "0", "0.0", "-0"])
def test_numbers_of_every_spelling_are_numbers(cell: str, read: Read) -> None:
    result = read(column_of(["1"] * LATE + [cell]), target="y")

    assert result.column("x")[-1] == float(cell)


def test_one_late_word_among_numbers_makes_the_column_text_with_a_note(read: Read) -> None:
    result = read(column_of(["1.50"] * LATE + ["oops"]), target="y")

    assert result.column("x")[-2:] == ["1.50", "oops"]
    assert any("'x'" in note and "'oops'" in note and f"line {LATE + 2}" in note for note in result.facts.notes)


@pytest.mark.parametrize("word", ["", " ", "NA", "N/A", "?", " ?", "null", "NaN"])
def test_usual_words_for_missing_are_missing(word: str, read: Read) -> None:
    result = read(column_of(["1", word, "3"]), target="y")

    assert result.column("x") == [1.0, None, 3.0]
    assert result.facts.columns[0].missing == 1


def test_a_lower_case_nan_among_numbers_is_missing_with_a_note(read: Read) -> None:
    result = read(column_of(["1", "nan", "3"]), target="y")

    assert result.column("x") == [1.0, None, 3.0]
    assert any("1 cells say 'nan'" in note for note in result.facts.notes)


def test_told_words_for_missing_replace_the_usual_ones(read: Read) -> None:
    result = read(column_of(["-999", "1", "2"]), target="y", null_values=["-999"])

    assert result.column("x") == [None, 1.0, 2.0]


def test_infinity_is_missing_when_told(read: Read) -> None:
    assert read(column_of(["1", "inf", "2"]), target="y", null_values=["inf"]).column("x") == [1.0, None, 2.0]


def test_truth_is_read_when_told(read: Read) -> None:
    result = read(column_of(["Yes", "f", "1", "?"]), target="y", columns={"x": {"type": "boolean"}})

    assert result.column("x") == [True, False, True, None]
    assert result.type_of("x") == "boolean"


def test_numbers_stay_as_written_when_told_categorical(read: Read) -> None:
    result = read(column_of(["1.0", "01", "1"]), target="y", columns={"x": {"type": "categorical"}})

    assert result.column("x") == ["1.0", "01", "1"]


def test_names_and_ids_are_text_and_words_that_repeat_are_categorical(read: Read) -> None:
    rows = "".join(f"customer {row} of the northern district,{'abc'[row % 3]},{row % 2}\n" for row in range(40))

    result = read("name,group,y\n" + rows, target="y")

    assert (result.type_of("name"), result.type_of("group")) == ("text", "categorical")


def test_missing_and_distinct_cells_are_counted_exactly(read: Read) -> None:
    result = read(column_of(["1", "1.0", "?", "2", "", "3"]), target="y")

    assert (result.facts.columns[0].missing, result.facts.columns[0].distinct) == (2, 3)


def test_the_order_of_rows_is_kept(read: Read) -> None:
    cells = [str((row * 7919) % 100_003) for row in range(100_000)]

    assert read(column_of(cells), target="y").column("x") == [float(cell) for cell in cells]


@pytest.mark.parametrize(
    ("written", "label"),
    [
        ("'-1'", "-1"),
        (" yes ", "yes"),
        ('"""a"""', "a"),
        ("<=50K", "<=50K"),
        ("=cmd|' /C calc'!A0", "=cmd|' /C calc'!A0"),
        ("1.0", "1.0"),
        ("'", "'"),
    ],
)
def test_a_label_is_the_text_without_blanks_and_quotes(written: str, label: str, read: Read) -> None:
    result = read(f"x,y\n1,{written}\n2,other\n3,{written}\n4,other\n", target="y")

    assert result.classes == {label: 2, "other": 2}


def test_classes_that_are_numbers_are_in_the_order_of_their_values(read: Read) -> None:
    result = read("x,y\n" + "".join(f"{row},{row % 3 * 5 - 1}\n" for row in range(12)), target="y")

    assert list(result.classes) == ["-1", "4", "9"]


def test_classes_that_are_words_are_in_the_order_of_their_code_points(read: Read) -> None:
    result = read("x,y\n" + "".join(f"{row},{['b', 'B', 'é', '10'][row % 4]}\n" for row in range(12)), target="y")

    assert list(result.classes) == ["10", "B", "b", "é"]


@pytest.mark.parametrize(
    ("labels", "positive"),
    [(["a", "b", "b"], "a"), (["a", "b"], "b"), (["2", "10"], "10"), (["a", "b", "c"], None)],
)
def test_the_positive_label_is_the_rarer_of_two(labels: list[str], positive: str | None, read: Read) -> None:
    result = read("x,y\n" + "".join(f"{row},{label}\n" for row, label in enumerate(labels * 4)), target="y")

    assert result.facts.positive_label == positive


def test_a_file_may_be_read_without_a_target(read: Read) -> None:
    facts = read("x,y\n1,a\n2,b\n").facts

    assert (facts.target, facts.positive_label, facts.classes) == (None, None, [])


def test_a_column_of_parts_is_crossed_with_the_classes(read: Read) -> None:
    rows = [("train", "a"), ("train", "b"), ("test", "a"), ("train", "a"), ("validation", "b")]

    result = read("x,part,y\n" + "".join(f"{at},{part},{label}\n" for at, (part, label) in enumerate(rows)), target="y")

    assert result.facts.part_classes == {"part": {"train": {"a": 2, "b": 1}, "validation": {"b": 1}, "test": {"a": 1}}}


def test_a_column_of_parts_with_another_word_is_no_column_of_parts(read: Read) -> None:
    result = read("x,part,y\n1,train,a\n2,test,b\n3,holdout,a\n4,train,b\n", target="y")

    assert result.facts.part_classes == {}


def test_labels_that_differ_in_case_only_stay_apart_and_are_noted(read: Read) -> None:
    result = read("a,y\n1,yes\n2,Yes\n3,no\n4,no\n", target="y")

    assert result.classes == {"Yes": 1, "no": 2, "yes": 1}
    assert any("'Yes' (1 rows) and 'yes' (1 rows)" in note for note in result.facts.notes)

"""New names for labels."""

import pyarrow.parquet as pq
import pytest

from tests.ingest.conftest import Read, Refuse

DOTTED = "x,y\n" + "1,>50K.\n2,<=50K.\n3,<=50K.\n" * 20


def test_labels_get_the_names_they_are_given_and_a_note_says_so(read: Read) -> None:
    result = read(DOTTED, target="y", rename_labels={">50K.": ">50K", "<=50K.": "<=50K"}, positive_label=">50K")

    assert result.classes == {"<=50K": 40, ">50K": 20}
    assert result.column("y")[:3] == [">50K", "<=50K", "<=50K"]
    assert result.column("x")[:3] == [1, 2, 3]
    assert result.facts.positive_label == ">50K"
    assert any("'>50K.' to '>50K' (20 rows)" in note or '">50K." to ">50K" (20 rows)' in note for note in result.facts.notes)


def test_two_labels_of_one_name_are_one_class(read: Read) -> None:
    result = read("x,y\n" + "1,a\n2,b\n3,c\n" * 20, target="y", rename_labels={"b": "rest", "c": "rest"})

    assert result.classes == {"a": 20, "rest": 40}


@pytest.mark.parametrize("label", ["it's", "a;b", 'q"q'])
def test_labels_are_names_and_never_code(read: Read, label: str) -> None:
    result = read("x;y\n" + "1;no\n2;yes\n" * 20, target="y", rename_labels={"yes": label})

    assert result.classes == {"no": 20, label: 20}


def test_numbers_as_labels_can_be_renamed(read: Read) -> None:
    result = read("x,y\n" + "1,0\n2,1\n" * 20, target="y", rename_labels={"1": "fraud"})

    assert result.classes == {"0": 20, "fraud": 20}
    assert result.column("y")[:2] == ["0", "fraud"]


def test_the_renamed_table_is_read_in_the_order_of_the_file(read: Read) -> None:
    rows = 130_000

    result = read("x,y\n" + "".join(f"{row},{'yes' if row % 3 else 'no'}\n" for row in range(rows)), target="y", rename_labels={"yes": "y"})

    assert pq.read_table(result.path)["x"].to_pylist() == list(range(rows))


def test_a_label_that_no_row_has_is_refused(refuse: Refuse) -> None:
    refused = refuse(DOTTED, target="y", rename_labels={">60K": "rich"})

    assert refused.code == "unknown_label"
    assert ">60K" in refused.detail

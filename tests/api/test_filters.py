"""The filter grammar: what it means, and where it says it went wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain import filters
from service.domain.errors import Invalid


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("", []),
        ("  ", []),
        ("state=failed", [("state", "failed")]),
        ("state = failed", [("state", "failed")]),
        ('name = "a b"', [("name", "a b")]),
        ("name = 'a \"b\"'", [("name", 'a "b"')]),
        (r'name = "a \"b\" \\"', [("name", 'a "b" \\')]),
        ('name = ""', [("name", "")]),
        ("name = 'AND'", [("name", "AND")]),
        (
            "loss.kind = focal AND learner.kind=mlp and dataset_id = ds_1",
            [("loss.kind", "focal"), ("learner.kind", "mlp"), ("dataset_id", "ds_1")],
        ),
        ("labels.team-a.x_1 = risk", [("labels.team-a.x_1", "risk")]),
    ],
)
def test_a_filter_is_a_list_of_conditions(text: str, meaning: list[tuple[str, str]]) -> None:
    assert filters.parse(text) == meaning


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("foo = 1", 1),
        ("state", 6),
        ("state =", 8),
        ("state == failed", 8),
        ("state != failed", 7),
        ("state < failed", 7),
        ("state = runing", 9),
        ("state = failed OR name = a", 16),
        ("state = failed name = a", 16),
        ("state = failed AND", 19),
        ("state = failed AND AND", 20),
        ("(state = failed)", 1),
        ('name = "abc', 8),
        ("name = 'a\0b'", 8),
        ("labels. = a", 1),
        ("created_at = x", 1),
        ("name = " + "x" * 3000, 2001),
    ],
)
def test_anything_else_is_refused_at_its_column(text: str, column: int) -> None:
    with pytest.raises(Invalid, match=f"column {column}:") as refusal:
        filters.parse(text)

    assert refusal.value.code == "bad_filter"


@given(st.text(max_size=100))
def test_any_text_is_understood_or_refused(text: str) -> None:
    try:
        conditions = filters.parse(text)
    except Invalid:
        return
    assert all(field and "\0" not in value for field, value in conditions)


@given(st.text(alphabet=st.characters(exclude_characters="\0"), max_size=50))
def test_any_value_can_be_quoted(value: str) -> None:
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')

    assert filters.parse(f'name = "{quoted}"') == [("name", value)]

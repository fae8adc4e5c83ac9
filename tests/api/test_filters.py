"""The filter grammar: what it means, and where it says it went wrong."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain import filters
from service.domain.errors import Invalid
from service.domain.fields import Field, Period
from service.domain.filters import Comparison, Condition, Junction, Not

A, B, C = (Comparison(Field("name"), "=", (letter,)) for letter in "abc")


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("state=failed", Comparison(Field("state"), "=", ("failed",))),
        ("state != failed", Comparison(Field("state"), "!=", ("failed",))),
        ("state IN (failed, cancelled)", Comparison(Field("state"), "=", ("failed", "cancelled"))),
        ("state in(failed)", Comparison(Field("state"), "=", ("failed",))),
        ('name = "a b"', Comparison(Field("name"), "=", ("a b",))),
        ("name = 'a \"b\"'", Comparison(Field("name"), "=", ('a "b"',))),
        (r'name = "a \"b\" \\"', Comparison(Field("name"), "=", ('a "b" \\',))),
        ('name = ""', Comparison(Field("name"), "=", ("",))),
        ("name = 'AND'", Comparison(Field("name"), "=", ("AND",))),
        ("name = labels.x", Comparison(Field("name"), "=", ("labels.x",))),
        ("name >= m", Comparison(Field("name"), ">=", ("m",))),
        ("loss.gamma<.5", Comparison(Field("loss.gamma"), "<", (0.5,))),
        ("loss.gamma > -1e3", Comparison(Field("loss.gamma"), ">", (-1000.0,))),
        ("labels.team-a.x_1 = risk", Comparison(Field("labels", "team-a.x_1"), "=", ("risk",))),
        ('labels."team" = risk', Comparison(Field("labels", "team"), "=", ("risk",))),
        ('metrics."test/mcc" <= 1', Comparison(Field("metrics", "test/mcc"), "<=", (1.0,))),
        ("metrics.test/mcc!=1", Comparison(Field("metrics", "test/mcc"), "!=", (1.0,))),
        ('metrics."odd name" = 1', Comparison(Field("metrics", "odd name"), "=", (1.0,))),
        ("study_id = stu_1", Comparison(Field("study_id"), "=", ("stu_1",))),
    ],
)
def test_a_comparison_has_a_field_an_operator_and_values(text: str, meaning: Condition) -> None:
    assert filters.parse(text) == meaning


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("", None),
        ("  ", None),
        ("name=a AND name=b and name=c", Junction("AND", (A, B, C))),
        ("name=a OR name=b AND name=c", Junction("OR", (A, Junction("AND", (B, C))))),
        ("(name=a OR name=b) AND name=c", Junction("AND", (Junction("OR", (A, B)), C))),
        ("NOT name=a AND name=b", Junction("AND", (Not(A), B))),
        ("NOT (name=a AND name=b)", Not(Junction("AND", (A, B)))),
        ("not NOT name=a", Not(Not(A))),
        ("((name=a))", A),
    ],
)
def test_not_binds_before_and_and_before_or(text: str, meaning: Condition | None) -> None:
    assert filters.parse(text) == meaning


@pytest.mark.parametrize(
    ("text", "start", "length"),
    [
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC), timedelta(days=1)),
        ("2026-01-31T12:30:00Z", datetime(2026, 1, 31, 12, 30, tzinfo=UTC), timedelta(milliseconds=1)),
        ("2026-01-31T12:30:00", datetime(2026, 1, 31, 12, 30, tzinfo=UTC), timedelta(milliseconds=1)),
        ("2026-01-31T12:30:00.123456+02:00", datetime(2026, 1, 31, 10, 30, 0, 123000, tzinfo=UTC), timedelta(milliseconds=1)),
    ],
)
def test_a_day_means_all_of_it_and_a_time_what_is_shown(text: str, start: datetime, length: timedelta) -> None:
    assert filters.parse(f"created_at = {text}") == Comparison(Field("created_at"), "=", (Period(start, start + length),))


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("foo = 1", 1),
        ("priority = 1", 1),
        ("state", 6),
        ("state =", 8),
        ("state == failed", 8),
        ("state < failed", 7),
        ("loss.kind >= focal", 11),
        ("state = runing", 9),
        ("loss.kind = focl", 13),
        ("learner.kind = auto", 16),
        ("state = failed OR", 18),
        ("state = failed name = a", 16),
        ("state = failed AND AND", 20),
        ("state = failed, name = a", 15),
        ("(state = failed", 16),
        ("state = failed)", 15),
        ("()", 2),
        ("NOT", 4),
        ("state IN failed", 10),
        ("state IN ()", 11),
        ("state IN (failed cancelled)", 18),
        ("state IN (failed, runing)", 19),
        ("state NOT IN (failed)", 7),
        ("name = not", 8),
        ('name = "abc', 8),
        ("name = 'a\0b'", 8),
        ("labels. = a", 1),
        ("labels.a:b = a", 1),
        ("metrics.'test/mcc = 1", 9),
        ("metrics = 1", 1),
        ("metrics.test/mcc = high", 20),
        ("loss.gamma = nan", 14),
        ("loss.gamma = 1e999", 14),
        ("loss.gamma = 1_0", 14),
        ("created_at = x", 14),
        ("created_at > 9999-12-31", 14),
        ("created_at > 0001-01-01T00:00:00+10:00", 14),
        ("name = " + "x" * 3000, 2001),
        ("(" * 40 + "name = a" + ")" * 40, 33),
        ("NOT " * 40 + "name = a", 129),
        ("name=a OR " * 60 + "name=a", 501),
    ],
)
def test_anything_else_is_refused_at_its_column(text: str, column: int) -> None:
    with pytest.raises(Invalid, match=f"column {column}:") as refusal:
        filters.parse(text)

    assert (refusal.value.code, refusal.value.errors[0].pointer) == ("bad_filter", "/filter")


_WORDS = st.sampled_from(["state", "name", "labels.a", '"x"', "=", "!=", "(", ")", ",", "AND", "OR", "NOT", "IN", "failed", "1"])


@given(st.text(max_size=100) | st.lists(_WORDS, max_size=30).map(" ".join))
def test_any_text_is_understood_or_refused(text: str) -> None:
    try:
        condition = filters.parse(text)
    except Invalid:
        return
    assert (condition is None) == (not text.strip())


@given(st.text(alphabet=st.characters(exclude_characters="\0"), max_size=50))
def test_any_value_can_be_quoted(value: str) -> None:
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')

    assert filters.parse(f'name = "{quoted}"') == Comparison(Field("name"), "=", (value,))

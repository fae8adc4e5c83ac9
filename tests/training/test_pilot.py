"""Which embedding is chosen for a table."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from counterweight.contracts.learners import Linear, Mlp, Tabm
from tests.training.tables import make_spec, two_blobs, write_table
from workers.training.files import digest
from workers.training.pilot import EMBEDDINGS, Choice, settle
from workers.training.prepared import Prepared, TableFile, prepare

SOURCE = np.random.default_rng(0)


def prepared(folder: Path, cells: dict[str, list[Any]]) -> Prepared:
    path, facts = write_table(folder, cells, "event", "yes")
    return prepare(TableFile(path, digest(path)), None, facts, make_spec(), folder, threads=1)


def comb(rows: int = 1500) -> dict[str, list[Any]]:
    """A number of which every other stretch is an event: a line says nothing of it."""
    numbers = SOURCE.uniform(0, 8, size=rows)
    return {"a": numbers.tolist(), "event": ["yes" if number % 2 < 0.5 else "no" for number in numbers]}


@pytest.fixture
def table(tmp_path: Path) -> Prepared:
    return prepared(tmp_path, two_blobs())


@pytest.mark.parametrize("learner", [Mlp(width=16), Tabm(width=16, members=2)], ids=lambda learner: learner.kind)
def test_pieces_are_chosen_where_a_line_says_nothing(tmp_path: Path, learner: Mlp | Tabm) -> None:
    settled = settle(learner, prepared(tmp_path, comb()), tmp_path)

    assert settled.learner.model_dump()["numeric_embedding"] in ("piecewise_linear", "piecewise_linear_target")
    assert settled.edges
    assert settled.choice is not None
    assert settled.choice.values[settled.choice.embedding] > settled.choice.values["none"] + 0.1


def test_a_choice_is_made_alike_each_time(tmp_path: Path, table: Prepared) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()

    first, second = (settle(Mlp(width=16), table, folder) for folder in folders)

    assert first == second


def test_a_choice_is_remembered_beside_the_table(tmp_path: Path, table: Prepared) -> None:
    settle(Mlp(width=16), table, tmp_path)
    (kept,) = tmp_path.glob("*.pilot.json")
    values = dict.fromkeys(EMBEDDINGS, 0.5)
    kept.write_text(Choice(embedding="piecewise_linear", metric="log_loss", values=values).model_dump_json())

    again = settle(Mlp(width=16), table, tmp_path)

    assert again.learner.model_dump()["numeric_embedding"] == "piecewise_linear"
    assert again.edges == table.bins.quantile


def test_a_torn_file_is_made_anew(tmp_path: Path, table: Prepared) -> None:
    first = settle(Mlp(width=16), table, tmp_path)
    (kept,) = tmp_path.glob("*.pilot.json")
    kept.write_text(kept.read_text()[:20])

    assert settle(Mlp(width=16), table, tmp_path) == first


def test_what_was_asked_for_is_not_tried(tmp_path: Path, table: Prepared) -> None:
    for learner in (Linear(), Mlp(numeric_embedding="none"), Tabm(numeric_embedding="piecewise_linear")):
        settled = settle(learner, table, tmp_path)

        assert (settled.learner, settled.choice) == (learner, None)
    assert not list(tmp_path.glob("*.pilot.json"))


def test_a_table_without_numbers_to_cut_has_no_embedding(tmp_path: Path) -> None:
    table = prepared(tmp_path, {"colour": [f"{SOURCE.integers(50)}" for _ in range(400)], "event": ["yes", "no"] * 200})

    for learner in (Mlp(), Mlp(numeric_embedding="piecewise_linear")):
        settled = settle(learner, table, tmp_path)

        assert (settled.learner.model_dump()["numeric_embedding"], settled.edges, settled.choice) == ("none", (), None)

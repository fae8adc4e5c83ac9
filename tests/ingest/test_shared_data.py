"""Every shared data set reads to the rows and classes that its index states, told how or not."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.ingest.conftest import Read

DATA = Path(__file__).parents[3] / "shared" / "data"
INDEX = DATA / "INDEX.json"
TABLES: list[dict[str, Any]] = (
    [entry for entry in json.loads(INDEX.read_text(encoding="utf-8"))["datasets"] if entry["kind"] != "image"] if INDEX.exists() else []
)

pytestmark = pytest.mark.skipif(not TABLES, reason="the shared data sets are not on this machine")


@pytest.mark.parametrize("entry", TABLES, ids=lambda entry: entry["name"])
def test_a_shared_table_reads_as_its_index_says_when_told_how(entry: dict[str, Any], read: Read) -> None:
    path = DATA / (entry["derived_file"] or entry["file"])
    told = {} if path.suffix == ".parquet" else {key: entry[key] for key in ("delimiter", "decimal", "header", "encoding")}

    result = read(path, target=entry["target"], **told)

    assert (result.facts.rows, result.classes) == (entry["rows"], entry["class_counts"])


@pytest.mark.parametrize("entry", TABLES, ids=lambda entry: entry["name"])
def test_a_shared_table_reads_as_its_index_says_when_sniffed(entry: dict[str, Any], read: Read) -> None:
    path = DATA / (entry["derived_file"] or entry["file"])

    result = read(path, target=entry["target"])

    assert (result.facts.rows, result.classes) == (entry["rows"], entry["class_counts"])
    if entry["positive_class"]:
        assert result.facts.positive_label == entry["positive_class"]

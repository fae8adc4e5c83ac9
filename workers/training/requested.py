"""What an evaluation holds on request, for which the network or the table is needed again: importance of columns, and subgroups."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from torch import Tensor

from counterweight.contracts.datasets import Column
from counterweight.contracts.evaluation import Evaluation, PermutationImportance, SubgroupTable
from counterweight.statistics.operating import PARTS, JudgedPart
from workers.training import calibrators
from workers.training.correction import log_probabilities
from workers.training.evaluation import Outcome
from workers.training.importance import Ranker, permutation_importance
from workers.training.subgroups import subgroup_table
from workers.training.subject import Floats, Ints, Subject


@dataclass(frozen=True)
class Sources:
    """Each part's table and its columns; the test rows' features (N, F), which of them a column became, and any features' logits (N, C)."""

    tables: Mapping[JudgedPart, Path]
    columns: Sequence[Column]
    features: Tensor
    places: Mapping[str, Sequence[int]]
    logits: Callable[[Tensor], Floats]


def with_requested(outcome: Outcome, subject: Subject, sources: Sources, is_cancelled: Callable[[], bool]) -> Evaluation:
    """Return the evaluation with all that the job's options ask for; whatever is still to come when it is cancelled is left out."""
    asked = subject.options
    importance = _importance(outcome, subject, sources, is_cancelled) if asked.permutation_importance else None
    tables = [_subgroups(outcome, subject, sources, name, is_cancelled) for name in asked.subgroups]
    return outcome.evaluation.model_copy(update={"permutation_importance": importance, "subgroups": tables})


def _importance(outcome: Outcome, subject: Subject, sources: Sources, is_cancelled: Callable[[], bool]) -> PermutationImportance:
    def probabilities(features: Tensor) -> Floats:
        corrected = log_probabilities(sources.logits(features), subject.test_terms, outcome.way.base)
        return calibrators.apply(outcome.way.calibrator, corrected)

    ranker = Ranker(subject, sources.features, outcome.judged["test"].labels, probabilities)
    return permutation_importance(ranker, sources.places, subject.options.permutation_repeats, is_cancelled)


def _subgroups(outcome: Outcome, subject: Subject, sources: Sources, name: str, is_cancelled: Callable[[], bool]) -> SubgroupTable:
    column = next(column for column in sources.columns if column.name == name)
    cells = {part: _cells(sources.tables[part], name, outcome.judged[part].scored.rows) for part in PARTS}
    return subgroup_table(subject, outcome.judged, column, cells, is_cancelled)


def _cells(path: Path, name: str, rows: Ints) -> pa.Table:
    """Return a column's cells in these rows of a table, in this order."""
    return pq.read_table(path, columns=[name], memory_map=True).take(pa.array(rows))

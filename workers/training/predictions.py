"""What the model says of each validation and test row, as files."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from counterweight.contracts.artifacts import PREDICTIONS_FILE
from counterweight.contracts.evaluation import OPERATING_POINTS_FILE
from counterweight.statistics import operating
from counterweight.statistics.scores import ScoreCounts
from workers.training.ranking import ranked
from workers.training.subject import Judged, Subject


def prediction_files(subject: Subject, judged: Mapping[operating.JudgedPart, Judged], apart: ScoreCounts | None = None) -> dict[str, bytes]:
    """Return the files by name: each row's prediction, and of two classes what any threshold does.

    `apart` are the counted scores that thresholds are chosen on where these are not the validation rows' own.
    """
    files = {PREDICTIONS_FILE: _parquet(prediction_table(subject, judged))}
    if subject.positive is not None:
        counts: dict[operating.CountedPart, ScoreCounts] = {
            part: ranked(np.exp(rows.log_p[:, subject.positive]), rows.labels == subject.positive) for part, rows in judged.items()
        }
        if apart is not None:
            counts["apart"] = apart
        files[OPERATING_POINTS_FILE] = operating.packed(counts)
    return files


def prediction_table(subject: Subject, judged: Mapping[operating.JudgedPart, Judged]) -> pa.Table:
    """Return one line for each row: its number in its dataset, part, label, decision, calibrated probabilities and raw score.

    The raw score of two classes is the network's log-odds of the positive one; several classes have one logit each.
    """
    return pa.concat_tables([_of_part(subject, part, rows) for part, rows in judged.items()])


def _parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue())


def _of_part(subject: Subject, part: str, judged: Judged) -> pa.Table:
    classes, probabilities = pa.array(subject.classes, pa.string()), np.exp(judged.log_p)
    columns: dict[str, pa.Array] = {
        "row": pa.array(judged.scored.rows, pa.int64()),
        "part": pa.array([part] * len(judged.labels), pa.string()),
        "label": pa.DictionaryArray.from_arrays(pa.array(judged.labels, pa.int32()), classes),
        "predicted": pa.DictionaryArray.from_arrays(pa.array(judged.decisions, pa.int32()), classes),
    }
    columns |= {f"probability:{label}": pa.array(probabilities[:, index]) for index, label in enumerate(subject.classes)}
    logits = judged.scored.logits
    if subject.positive is not None:
        columns["raw_score"] = pa.array(logits[:, subject.positive] - logits[:, 1 - subject.positive])
    else:
        columns |= {f"raw_score:{label}": pa.array(logits[:, index]) for index, label in enumerate(subject.classes)}
    return pa.table(columns)

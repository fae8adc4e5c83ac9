"""What the demo found: how to read it in words, and its numbers as a document."""

from collections.abc import Sequence
from typing import Any

from counterweight.contracts.evaluation import Evaluation
from counterweight.contracts.jobs import JobView
from counterweight.contracts.studies import StudyView

RARE = "8"


def explained(study: StudyView, evaluation: Evaluation) -> list[str]:
    """Say what the numbers of the study mean."""
    rows, rare = _held_out(evaluation)
    return [
        f"Each loss was trained {len(study.spec.seeds)} times, from other seeds but on the same rows. {rows} rows that none of them saw, "
        f"{rare} of them an {RARE}, judge it: average precision tells how well the eights come first; 1 is perfect, {rare / rows:.3f} is "
        "guessing.",
        "A mean's interval is of what other seeds and other test rows would give; whether two losses differ is told by their difference on "
        "the same rows.",
    ]


def document_of(server: str, study: StudyView, jobs: Sequence[JobView], evaluation: Evaluation) -> dict[str, Any]:
    """Return what was shown, as JSON values, with the ids to find it again."""
    rows, rare = _held_out(evaluation)
    arms = {job_id: row.arm for row in study.leaderboard for job_id in row.job_ids}
    shown = study.model_dump(mode="json", include={"metric", "leaderboard", "comparisons", "verdict"})
    return {
        "server": server,
        "dataset_id": study.dataset.id,
        "study_id": study.id,
        "test": {"rows": rows, "rare": rare},
        **shown,
        "jobs": [
            {
                "job_id": job.id,
                "arm": arms[job.id],
                "seed": job.spec.training.seed,
                **{name: job.metrics[f"test/{name}"].value for name in ("average_precision", "recall", "log_loss")},
            }
            for job in jobs
        ],
    }


def _held_out(evaluation: Evaluation) -> tuple[int, int]:
    """Return how many test rows there are, and how many of them are of the rare class."""
    part = evaluation.splits["test"]
    return part.rows, next(share.count for share in part.classes if share.label == RARE)

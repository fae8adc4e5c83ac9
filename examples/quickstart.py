"""Upload a table, compare three losses on it, and print the leaderboard and what can be said.

Run as `python examples/quickstart.py [FILE TARGET [POSITIVE_LABEL]]` against a running `counterweight serve`; without a file it takes
the handwritten digits that come with Counterweight, one of them rare.
"""

import sys
from pathlib import Path

import counterweight
from counterweight.client import Client
from counterweight.contracts.losses import AnyLoss, BalancedCrossEntropy, CrossEntropy, Focal
from counterweight.contracts.studies import LeaderboardRow
from counterweight.errors import ClientError

LOSSES: list[AnyLoss] = [CrossEntropy(), BalancedCrossEntropy(), Focal(gamma=2)]
DIGITS = Path(counterweight.__path__[0]) / "data" / "digits-rare.csv"


def main(file: str = str(DIGITS), target: str = "digit", positive_label: str | None = None) -> None:
    with Client() as client:
        dataset = client.datasets.upload(file, target=target, positive_label=positive_label)
        dataset = client.datasets.wait(dataset.id)
        if dataset.error is not None:
            sys.exit(dataset.error.detail)
        study = client.compare(dataset.id, LOSSES, seeds=3, training={"max_epochs": 30})
        if study.error is not None:
            sys.exit(study.error.detail)
    print(f"test {study.metric}, mean of 3 runs (95% interval)")
    for row in study.leaderboard:
        print(f"{row.arm:<24} {told(row)}")
    if study.verdict is not None:
        print(study.verdict.sentence)


def told(row: LeaderboardRow) -> str:
    """A mean is null when the metric is undefined, and so is its interval when too little is known; the reason says why."""
    if row.mean is None:
        return f"undefined: {row.reason}"
    interval = row.reason if row.low is None or row.high is None else f"{row.low:.3f} to {row.high:.3f}"
    return f"{row.mean:.3f} ({interval})"


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (ClientError, OSError) as error:
        sys.exit(str(error))

"""Upload a table, train three losses on it, and print how well each finds the rare class.

Run as `python examples/quickstart.py [FILE TARGET [POSITIVE_LABEL]]` against a running `counterweight serve`; without a file it takes
the handwritten digits that come with Counterweight, one of them rare.
"""

import sys
from pathlib import Path

import counterweight
from counterweight.client import Client
from counterweight.contracts.evaluation import Metric
from counterweight.contracts.jobs import Training
from counterweight.contracts.losses import BalancedCrossEntropy, CrossEntropy, Focal
from counterweight.errors import ClientError

LOSSES = [CrossEntropy(), BalancedCrossEntropy(), Focal(gamma=2)]


DIGITS = Path(counterweight.__path__[0]) / "data" / "digits-rare.csv"


def main(file: str = str(DIGITS), target: str = "digit", positive_label: str | None = None) -> None:
    with Client() as client:
        dataset = client.datasets.upload(file, target=target, positive_label=positive_label)
        dataset = client.datasets.wait(dataset.id)
        if dataset.error is not None:
            sys.exit(dataset.error.detail)
        jobs = [client.jobs.submit(dataset_id=dataset.id, loss=loss, training=Training(max_epochs=100)) for loss in LOSSES]
        for submitted in jobs:
            job = client.jobs.wait(submitted.id)
            if job.error is not None:
                sys.exit(f"{job.name}: {job.error.detail}")
            found = client.jobs.evaluation(job.id).splits["test"].metrics
            # With several classes there is one average precision for each, and their mean.
            precision = found.get("average_precision") or found["macro_average_precision"]
            print(f"{job.spec.loss.kind:<24} test AP {told(precision)}")


def told(metric: Metric) -> str:
    """A metric is null when it is undefined, and so is its interval when too little is known; the reason says why."""
    if metric.value is None:
        return f"undefined: {metric.reason}"
    interval = metric.reason if metric.low is None or metric.high is None else f"{metric.low:.3f} to {metric.high:.3f}"
    return f"{metric.value:.3f} ({interval})"


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (ClientError, OSError) as error:
        sys.exit(str(error))

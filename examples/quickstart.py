"""Upload a table, train three losses on it, and print how well each finds the rare class.

Run as `python examples/quickstart.py FILE TARGET [POSITIVE_LABEL]` against a running `counterweight serve`.
"""

import sys

from counterweight.client import Client
from counterweight.contracts.jobs import Training
from counterweight.contracts.losses import BalancedCrossEntropy, CrossEntropy, Focal

LOSSES = [CrossEntropy(), BalancedCrossEntropy(), Focal(gamma=2)]


def main(file: str, target: str, positive_label: str | None = None) -> None:
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
            print(f"{job.spec.loss.kind:<24} test AP {precision.value:.3f} ({precision.low} to {precision.high})")


if __name__ == "__main__":
    main(*sys.argv[1:])

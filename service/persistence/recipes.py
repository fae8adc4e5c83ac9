"""What a job, or a study of jobs, is made of: its datasets, held so that nobody deletes them meanwhile."""

from sqlalchemy.orm import Session

from counterweight.contracts.datasets import TableFacts
from service.domain.submission import DatasetChoices
from service.persistence import datasets
from service.persistence.tables import Dataset


def ingredients(
    session: Session, project_id: str, dataset_id: str, test_dataset_id: str | None, room: str = ""
) -> tuple[Dataset, TableFacts, DatasetChoices]:
    """Return the dataset, its facts, and what was chosen for it; refusals point to fields of `room`.

    NotFound, NotReady or Invalid for a dataset that cannot be trained on, or tested on.
    """
    dataset = datasets.ready(datasets.pin(session, project_id, dataset_id), f"{room}/dataset_id")
    test = _test_facts(session, project_id, test_dataset_id, f"{room}/test_dataset_id")
    return dataset, datasets.facts(dataset), DatasetChoices.of(dataset.name, dataset.options, test)


def _test_facts(session: Session, project_id: str, dataset_id: str | None, pointer: str) -> TableFacts | None:
    if dataset_id is None:
        return None
    return datasets.facts(datasets.ready(datasets.pin(session, project_id, dataset_id), pointer))

"""What a job, or a study of jobs, is made of: its datasets, held so that nobody deletes them meanwhile."""

from sqlalchemy.orm import Session

from counterweight.contracts.datasets import TableFacts
from counterweight.contracts.jobs import Recipe
from service.domain.submission import DatasetChoices
from service.persistence import datasets
from service.persistence.tables import Dataset


def ingredients(session: Session, project_id: str, recipe: Recipe, room: str = "") -> tuple[Dataset, TableFacts, DatasetChoices]:
    """Return the recipe's dataset, its facts, and what was chosen for it; refusals point to fields of `room`.

    NotFound, NotReady or Invalid for a dataset that cannot be trained on, or tested on.
    """
    datasets.pin(session, project_id, recipe.dataset_id)
    dataset = datasets.get_ready(session, project_id, recipe.dataset_id, f"{room}/dataset_id")
    test = _test_facts(session, project_id, recipe.test_dataset_id, f"{room}/test_dataset_id")
    return dataset, datasets.facts(dataset), DatasetChoices.of(dataset.name, dataset.options, test)


def _test_facts(session: Session, project_id: str, dataset_id: str | None, pointer: str) -> TableFacts | None:
    if dataset_id is None:
        return None
    datasets.pin(session, project_id, dataset_id)
    return datasets.facts(datasets.get_ready(session, project_id, dataset_id, pointer))

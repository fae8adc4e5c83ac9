"""A typed client of the HTTP API: `Client().compare(dataset_id).verdict`, `Client().jobs.submit(dataset_id=…, loss=Focal(gamma=2))`."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Literal, Self

from counterweight._resources.datasets import Datasets
from counterweight._resources.jobs import Jobs
from counterweight._resources.keys import Keys
from counterweight._resources.losses import Losses
from counterweight._resources.projects import Projects
from counterweight._resources.queue import Queue
from counterweight._resources.studies import Studies
from counterweight._resources.workers import Workers
from counterweight._transport import Transport
from counterweight.contracts.losses import AnyLoss, one_of_each
from counterweight.contracts.studies import StudySpec, StudyView
from counterweight.settings import ClientSettings

__all__ = ["Client", "Datasets", "Jobs", "Keys", "Losses", "Projects", "Queue", "Studies", "Workers"]


class Client:
    """A Counterweight server; `url` and `api_key` come from COUNTERWEIGHT_URL and COUNTERWEIGHT_API_KEY when left out.

    Connect errors and 408, 429, 5xx and "still in flight" answers are retried twice; what cannot be done raises a
    `counterweight.errors.ClientError`. Not for use by several threads at once.
    """

    def __init__(self, url: str | None = None, api_key: str | None = None) -> None:
        settings = ClientSettings()
        known_key = settings.api_key.get_secret_value() if settings.api_key else None
        self._transport = Transport(url or settings.url, api_key or known_key)
        self.url = self._transport.url
        self.datasets = Datasets(self._transport)
        self.jobs = Jobs(self._transport)
        self.studies = Studies(self._transport)
        self.losses = Losses(self._transport)
        self.queue = Queue(self._transport)
        self.workers = Workers(self._transport)
        self.projects = Projects(self._transport)
        self.keys = Keys(self._transport)

    def compare(
        self,
        dataset_id: str,
        losses: Sequence[AnyLoss] | Literal["all"] = "all",
        *,
        seeds: int | Sequence[int] = 5,
        timeout_s: float | None = None,
        **fields: Any,
    ) -> StudyView:
        """Find out which loss to use: train each once for each seed on identical splits, wait, and return the study with its verdict.

        `seeds` is how many, counted from 0, or the seeds themselves; `fields` are others of a StudySpec, such as `metric="mcc"`, and of
        its `base`, such as `learner=Linear()`. WaitTimeout when it takes too long; it goes on then.
        """
        own = {name: value for name, value in fields.items() if name in StudySpec.model_fields}
        recipe = {name: value for name, value in fields.items() if name not in own}
        study = self.studies.create(
            base={"dataset_id": dataset_id, **recipe},
            losses=one_of_each() if losses == "all" else list(losses),
            seeds=list(range(seeds)) if isinstance(seeds, int) else list(seeds),
            **own,
        )
        return self.studies.wait(study.id, timeout_s)

    def close(self) -> None:
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

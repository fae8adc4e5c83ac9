"""A typed client of the HTTP API: `Client().jobs.submit(dataset_id=…, loss=Focal(gamma=2))`."""

from types import TracebackType
from typing import Self

from counterweight._resources.datasets import Datasets
from counterweight._resources.jobs import Jobs
from counterweight._resources.keys import Keys
from counterweight._resources.losses import Losses
from counterweight._transport import Transport
from counterweight.settings import ClientSettings

__all__ = ["Client", "Datasets", "Jobs", "Keys", "Losses"]


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
        self.losses = Losses(self._transport)
        self.keys = Keys(self._transport)

    def close(self) -> None:
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

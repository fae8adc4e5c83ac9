"""Uploads, and what was found in them."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from counterweight._resources.asking import changes, document, dry, pages
from counterweight._resources.waiting import LONGEST_HOLD_S, last, watch
from counterweight._transport import Transport
from counterweight.contracts.datasets import DatasetOptions, DatasetView
from counterweight.contracts.deletions import Deletion
from counterweight.contracts.pages import Page


class Datasets:
    """Uploads and what was found in them."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def upload(
        self, path: Path | str, *, name: str | None = None, options: DatasetOptions | str | None = None, **fields: Any
    ) -> DatasetView:
        """Stream a file to the server; reading it goes on there: see `wait`.

        How to read it comes as `options` (DatasetOptions, or their JSON for the server to judge) or as their fields, such as
        `target="is_fraud"`. The same bytes with the same options are the same dataset.
        """
        file = Path(path)
        wanted = document(options, DatasetOptions, fields) if options or fields else None
        return self._transport.post_file(
            "/datasets", DatasetView, file, _content_type(file), {"name": name or file.name, "options": wanted}
        )

    def get(self, dataset_id: str, *, wait_s: float = 0, since_version: int | None = None) -> DatasetView:
        """Read a dataset; with `wait_s` (at most 60) once it is newer than `since_version`, or as it is when the wait ends."""
        return self._transport.get_held(f"/datasets/{dataset_id}", DatasetView, wait_s, since_version)

    def list(self, *, limit: int | None = None) -> Iterator[DatasetView]:
        """Yield datasets, newest first; pages are fetched as they are needed."""
        return pages(self._transport, "/datasets", Page[DatasetView], {}, limit)

    def update(
        self, dataset_id: str, *, name: str | None = None, labels: dict[str, str | None] | None = None, version: int | None = None
    ) -> DatasetView:
        """Change what is given; a label that is None goes. With `version`, Conflict when the dataset has another one by now."""
        return self._transport.patch(f"/datasets/{dataset_id}", DatasetView, changes({"name": name, "labels": labels}), version)

    def delete(self, dataset_id: str, *, dry_run: bool = False, version: int | None = None) -> Deletion:
        """Delete a dataset no job was made on, with its files; with `dry_run`, only say what would go."""
        return self._transport.delete(f"/datasets/{dataset_id}", Deletion, dry(dry_run), version)

    def wait(self, dataset_id: str, timeout_s: float | None = None) -> DatasetView:
        """Return the dataset once it was read, for better or worse: `ready` or `failed`. WaitTimeout when that takes too long."""
        return last(watch(partial(self._read, dataset_id), _was_read, timeout_s, LONGEST_HOLD_S))

    def _read(self, dataset_id: str, wait_s: float, since_version: int | None) -> DatasetView:
        return self.get(dataset_id, wait_s=wait_s, since_version=since_version)


def _content_type(file: Path) -> str:
    """The server looks at the content; this only says which reader to try first."""
    known = {".csv": "text/csv", ".tsv": "text/csv", ".parquet": "application/vnd.apache.parquet"}
    return known.get(file.suffix.lower(), "application/octet-stream")


def _was_read(dataset: DatasetView) -> bool:
    return dataset.state != "processing"

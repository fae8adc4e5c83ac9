"""A client that uploads, submits, cancels and deletes in a process of its own, and keeps a ledger of all that was acknowledged.

Whatever fails it sends again, under the same idempotency key, until it is answered: as a careful client would.
"""

import json
import random
import sys
import threading
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.ingest.pictures import two_classes, zipped
from tests.tables_of_numbers import two_blobs

THREADS = 4
PAUSE_S = 0.1
SHORT = {"max_epochs": 3, "batch_size": 16, "early_stopping": None}
ENDLESS = {"max_epochs": 100_000, "batch_size": 16, "early_stopping": None}


@dataclass(frozen=True)
class Entry:
    """Something the server has acknowledged: `key` is ours, `subject` the id it gave."""

    what: str
    key: str
    subject: str


class Ledger:
    """Entries as lines of a file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1)
        self._lock = threading.Lock()

    def note(self, what: str, key: str, subject: str) -> None:
        with self._lock:
            self._file.write(json.dumps([what, key, subject]) + "\n")

    def close(self) -> None:
        self._file.close()


def entries(path: Path) -> list[Entry]:
    return [Entry(*json.loads(line)) for line in path.read_text().splitlines()]


class Caller:
    """One client after another of what `main` runs at the same time."""

    def __init__(self, url: str, ledger: Ledger, seed: int, number: int, is_over: threading.Event) -> None:
        self._http = httpx.Client(base_url=f"{url}/api/v1", timeout=60)
        self._ledger, self._number, self._is_over = ledger, number, is_over
        self._source = random.Random(f"{seed} {number}")

    def run(self) -> None:
        """Do the same things again and again, each caller at another place of the round."""
        dataset_id = self._upload()
        turn = self._number
        while not self._is_over.is_set():
            turn += 1
            if turn % 2 == 0:
                dataset_id = self._upload()
            if turn % 2 == 1:
                self._send_file("datasets", zipped(two_classes(cats=1 + self._source.randrange(99))), "application/zip", {})
            self._train(dataset_id, is_endless=turn % 3 == 0, is_deleted=turn % 4 in (0, 1))

    def _train(self, dataset_id: str, *, is_endless: bool, is_deleted: bool) -> None:
        key = uuid.uuid4().hex
        spec = {
            "dataset_id": dataset_id,
            "labels": {"key": key},
            "training": {**(ENDLESS if is_endless else SHORT), "seed": self._source.randrange(1000)},
            "limits": {"max_attempts": 100},
        }
        job = self._until_answered("POST", "/jobs", json=spec, headers={"Idempotency-Key": key}).json()
        self._ledger.note("submitted", key, job["id"])
        if is_endless:
            self._wait(job["id"], lambda job: job["progress"] is not None)
            self._until_answered("POST", f"/jobs/{job['id']}/cancel")
            self._ledger.note("cancelled", key, job["id"])
        if self._wait(job["id"], lambda job: job["is_terminal"]) and is_deleted:
            self._ledger.note("deleting", key, job["id"])
            self._until_answered("DELETE", f"/jobs/{job['id']}")
            self._ledger.note("deleted", key, job["id"])

    def _upload(self) -> str:
        """Upload a table of its own, and return its id once it can be trained on."""
        while True:
            table = two_blobs(rows=160, positives=40, seed=self._source.getrandbits(60))
            dataset_id = self._send_file("datasets", table, "text/csv", {"target": "event"})
            path = f"/datasets/{dataset_id}"
            while (dataset := self._until_answered("GET", path, params={"wait": 5}).json())["state"] == "processing":
                pass
            if dataset["state"] == "ready":
                return dataset_id  # A file whose reading was killed three times is given up, and says so.

    def _send_file(self, path: str, content: bytes, media_type: str, options: dict[str, Any]) -> str:
        key = uuid.uuid4().hex
        headers = {"Idempotency-Key": key, "Content-Type": media_type}
        answer = self._until_answered("POST", f"/{path}", content=content, headers=headers, params={"options": json.dumps(options)})
        self._ledger.note("uploaded", key, answer.json()["id"])
        return str(answer.json()["id"])

    def _wait(self, job_id: str, is_enough: Any) -> bool:
        """Wait until a job is as wanted, or over; False when the load ends first."""
        while not self._is_over.is_set():
            job = self._until_answered("GET", f"/jobs/{job_id}", params={"wait": 1}).json()
            if is_enough(job) or job["is_terminal"]:
                return True
        return False

    def _until_answered(self, method: str, path: str, **request: Any) -> httpx.Response:
        while True:
            try:
                answer = self._http.request(method, path, **request)
            except httpx.TransportError:
                threading.Event().wait(PAUSE_S)
                continue
            again = answer.status_code >= 500 or "Retry-After" in answer.headers
            # A cancel that comes too late, and a deletion that was done and not told of, are answered all the same.
            if not again and (answer.status_code < 300 or (method, answer.status_code) in {("POST", 409), ("DELETE", 404)}):
                return answer
            assert again, (method, path, answer.status_code, answer.text)
            threading.Event().wait(PAUSE_S)


def main(url: str, path: str, seed: str) -> None:
    """Put the server under load until stdin ends."""
    ledger, is_over = Ledger(Path(path)), threading.Event()
    failed: list[BaseException] = []

    def run(number: int) -> None:
        try:
            Caller(url, ledger, int(seed), number, is_over).run()
        except BaseException as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    is_over.set()
    for thread in threads:
        thread.join()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])

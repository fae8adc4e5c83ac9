"""`python -P -m workers.backends.ray_driver ERRAND`: stands in for the agent on a Ray cluster, between a trainer's pipe and the API.

It starts the very trainer that an agent starts on its own host, or one whose ranks Ray starts on any nodes, and carries what goes over its
pipe. It ends with its trainer, and ends it when the API says that the attempt is over.
"""

import contextlib
import os
import sys
import time
from multiprocessing.connection import wait
from pathlib import Path

import httpx

from counterweight.contracts.mail import Letter, Orders
from workers import trainer_child
from workers.backends import errand, ray_ranks
from workers.backends.errand import SILENCE_S, Errand
from workers.pipe import ORPHANED
from workers.processes import Child, Nursery

LOOK_S = 1.0
"""So often it asks for orders."""

GATHER_S = 0.1
"""So long it waits for more to say in the same letter."""

SLOWEST_RETRY_S = 5.0
TIMEOUT_S = 30.0
TRAINER_DIED = 1


class Unwanted(Exception):
    """The attempt is over, or the API is out of reach for good."""


class Driver:
    """Carries one trainer's words."""

    def __init__(self, given: Errand, trainer: Child) -> None:
        self._trainer, self._beat_s = trainer, given.beat_s
        headers = {"Authorization": f"Bearer {given.token}"}
        self._client = httpx.Client(base_url=f"{given.url.rstrip('/')}/api/v1/trainer", headers=headers, timeout=TIMEOUT_S)
        self._letters = self._orders = 0
        self._wrote_at = self._looked_at = time.monotonic()

    def run(self) -> int:
        """Carry until the trainer has ended; return the exit status. Unwanted when nobody wants to hear more."""
        while not self._trainer.has_ended:
            if wait([self._trainer.connection], timeout=LOOK_S):
                time.sleep(GATHER_S)
            lines = [line.decode() for line in self._trainer.said()]
            if lines or time.monotonic() - self._wrote_at >= self._beat_s:
                self._write(Letter(lines=lines))
            if time.monotonic() - self._looked_at >= LOOK_S:
                self._look()
        end = self._trainer.how_it_ended()
        if end.is_regular:
            return 0
        if not end.is_lost:
            self._write(Letter(died=end.detail))
        return TRAINER_DIED

    def _write(self, letter: Letter) -> None:
        self._letters += 1
        self._ask("PUT", f"/letters/{self._letters}", letter.model_dump_json().encode())
        self._wrote_at = time.monotonic()

    def _look(self) -> None:
        orders = Orders.model_validate_json(self._ask("GET", f"/orders?after={self._orders}").content)
        for line in orders.lines:
            self._trainer.send(line.encode())
        self._orders, self._looked_at = orders.last, time.monotonic()

    def _ask(self, method: str, path: str, body: bytes | None = None) -> httpx.Response:
        """Ask until the API answers: it may be starting anew, or the database behind it."""
        began, delay_s = time.monotonic(), GATHER_S
        while time.monotonic() - began < SILENCE_S:
            with contextlib.suppress(httpx.TransportError):
                answer = self._client.request(method, path, content=body)
                if answer.is_success:
                    return answer
                if answer.is_client_error:
                    raise Unwanted(f"the API answered {answer.status_code}: {answer.text[:300]}")
            time.sleep(delay_s)
            delay_s = min(2 * delay_s, SLOWEST_RETRY_S)
        raise Unwanted(f"the API did not answer for {SILENCE_S:g} s")


def main() -> int:
    given = errand.take(Path(sys.argv[1]))
    has_ranks = len(given.task.rank_devices) > 1
    # What the cluster's processes were given is not a trainer's business; Ray's token is that of who lets Ray start ranks.
    of_others = ("COUNTERWEIGHT_", "PG") if has_ranks else ("COUNTERWEIGHT_", "PG", "RAY_AUTH")
    for variable in [name for name in os.environ if name.startswith(of_others)]:
        del os.environ[variable]
    trainer = Nursery().start_trainer(given.task, ray_ranks.main if has_ranks else trainer_child.main)
    try:
        return Driver(given, trainer).run()
    except Unwanted as why:
        # Its last word ends the attempt, and it may be some moments from its own end.
        if trainer.how_it_ended().is_regular:
            return 0
        # For the log of the Ray job.
        sys.stderr.write(f"{why}\n")
        return ORPHANED
    finally:
        trainer.kill()


if __name__ == "__main__":
    sys.exit(main())

"""The beat of an agent, and its watch over the others: a thread of its own, so that no long commit delays it."""

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from counterweight.crashpoints import crashpoint
from service.persistence import agents
from service.persistence.database import DATABASE_AWAY, Database

logger = logging.getLogger(__name__)

BEATS_PER_LEASE = 6

LOOKS_PER_LEASE = 4
"""Silence counts as a lease after no fewer looks."""


class Watch:
    """Observes the beats of agents and says who stayed silent for a whole lease.

    Time is this process's own monotonic clock, and only unbroken observation counts: when the database was away everybody's lease
    begins anew, and a gap between two looks (this host slept, or is overloaded) proves no more than a quarter of a lease of silence.
    So a database restart, a clock jump or a sleeping laptop declares nobody lost, and a slow host still finds the dead.
    """

    def __init__(self, lease_s: float) -> None:
        self._lease_s = lease_s
        self._seen: dict[str, tuple[int, float]] = {}
        self._last_look: float | None = None

    def silent(self, beats: dict[str, int], at: float) -> list[str]:
        """Take the beats seen at monotonic second `at`; return the agents silent since a lease or longer."""
        passed = 0.0 if self._last_look is None else min(at - self._last_look, self._lease_s / LOOKS_PER_LEASE)
        self._last_look = at
        before = {agent: silence + passed for agent, (beat, silence) in self._seen.items() if beats.get(agent) == beat}
        self._seen = {agent: (beat, before.get(agent, 0.0)) for agent, beat in beats.items()}
        return [agent for agent, (_, silence) in self._seen.items() if silence >= self._lease_s]

    def forget(self) -> None:
        """Contact was broken: what was seen before proves nothing."""
        self._seen.clear()
        self._last_look = None


class Pulse:
    """Beats for one agent while open; `is_lost` once others have declared it lost."""

    def __init__(self, database: Database, agent_id: str, lease_s: float, on_lost: Callable[[], None]) -> None:
        self._database, self._agent_id, self._interval_s, self._on_lost = database, agent_id, lease_s / BEATS_PER_LEASE, on_lost
        self._watch = Watch(lease_s)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="pulse")
        self.is_lost = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            try:
                if not self._beat():
                    logger.warning("agent %s was declared lost while it could not be seen; it ends its trainers", self._agent_id)
                    self._end()
                    return
                self._reap()
            except DATABASE_AWAY as error:
                logger.warning("no beat, the database does not answer: %s", str(error).splitlines()[0])
                self._watch.forget()
            except Exception:
                # The edge of this thread. An agent that trains on without a beat would be declared lost behind its back.
                logger.exception("the beat failed; the agent begins anew")
                self._end()
                return

    def _end(self) -> None:
        self.is_lost = True
        self._on_lost()

    def _beat(self) -> bool:
        with self._database.write() as session:
            return agents.beat(session, self._agent_id, datetime.now(UTC))

    def _reap(self) -> None:
        with self._database.read() as session:
            beats = agents.beats(session)
        for agent_id in self._watch.silent(beats, time.monotonic()):
            crashpoint("reaper.found")
            with self._database.write() as session:
                # Silent is judged on the beat that was observed; a beat since then saves the agent.
                if agents.beats(session).get(agent_id) == beats[agent_id]:
                    returned = agents.retire(session, agent_id, "lost", datetime.now(UTC), "its worker was silent for a whole lease")
                    logger.warning("agent %s was silent for a lease; back in the queue: %s", agent_id, returned or "nothing")

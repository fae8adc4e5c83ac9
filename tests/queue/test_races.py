"""Agents in processes of their own race for thousands of jobs and are killed: each job ends once, and no limit is passed for a moment."""

import multiprocessing
import os
import random
import signal
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection, wait

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from counterweight.contracts.ids import new_id
from service.domain.admission import turn
from service.persistence import agents, events, queue
from service.persistence.database import Database
from service.persistence.tables import Attempt, Event, Job, Project
from tests.factories import START, make_agent, make_dataset, make_job, make_project

JOBS, AGENTS, KILLS = 5_000, 2, 20
CHANCE = 1 / 30
"""Of dying at any of four moments of a round."""

LIMIT, PACK = 30, 20


def _queue_jobs(session: Session, count: int) -> list[str]:
    """Queue so many jobs alike in two projects, of which the first may have no more than LIMIT running."""
    limited = make_dataset(session)
    session.get_one(Project, limited.project_id).max_running_jobs = LIMIT
    ids = []
    for dataset in (limited, make_dataset(session, project_id=make_project(session).id)):
        model = make_job(session, dataset)
        columns = {column.key: getattr(model, column.key) for column in Job.__mapper__.column_attrs}
        moments = [START + timedelta(hours=1, seconds=number) for number in range(count // 2 - 1)]
        made = [columns | {"id": new_id("job", moment), "turn": turn(moment, 50)} for moment in moments]
        session.execute(insert(Job), made)
        ids += [model.id, *(row["id"] for row in made)]
    return ids


def _work(url: str, agent_id: str, said: Connection, chance: float, seed: int) -> None:
    """Claim and end until nothing is left, or death; tell of each cohort that ended, and how many jobs the limited project then held."""
    source = random.Random(seed)

    def perhaps_die() -> None:
        if source.random() < chance:
            os.kill(os.getpid(), signal.SIGKILL)

    with closing(Database(url)) as database:
        while True:
            with database.write() as session:
                cohort = queue.claim_cohort(session, agent_id, ("auto", "cpu"), datetime.now(UTC), lambda _spec, _dataset: PACK)
                perhaps_die()
            perhaps_die()
            with database.read() as session:
                counted = select(func.count()).where(Job.agent_id.is_not(None), Job.project_id == "prj_default")
                held = session.scalar(counted) or 0
                is_left = session.scalar(select(Job.id).where(Job.state.in_(("queued", "running"))).limit(1)) is not None
            if cohort is not None:
                with database.write() as session:
                    jobs = list(queue.lock_jobs(session, cohort.claims).values())
                    events.move_jobs(session, jobs, "succeeded", "raced for", datetime.now(UTC))
                    perhaps_die()
                perhaps_die()
                said.send(([claim.id for claim in cohort.claims], held))
            elif not is_left:
                break


class Racer:
    """An agent in a process of its own."""

    def __init__(self, database: Database, chance: float, seed: int) -> None:
        with database.write() as session:
            self.agent_id = make_agent(session).id
        context = multiprocessing.get_context("forkserver")
        self.heard, said = context.Pipe(duplex=False)
        url = database.url.render_as_string(hide_password=False)
        self.process = context.Process(target=_work, args=(url, self.agent_id, said, chance, seed))
        self.process.start()
        said.close()

    def is_killed(self) -> bool:
        """Wait for its end, and tell whether it was killed."""
        self.process.join()
        return self.process.exitcode == -signal.SIGKILL


def test_agents_killed_while_they_race_for_five_thousand_jobs_end_each_once_and_pass_no_limit(database: Database) -> None:
    with database.write() as session:
        ids = _queue_jobs(session, JOBS)
    racers = {racer.heard: racer for racer in (Racer(database, CHANCE, seed) for seed in range(AGENTS))}
    ended, held, kills = Counter[str](), list[int](), 0

    while racers:
        for heard in wait(list(racers)):
            assert isinstance(heard, Connection)
            try:
                cohort, count = heard.recv()
            except EOFError:
                racer = racers.pop(heard)
                if racer.is_killed():
                    kills += 1
                    with database.write() as session:
                        agents.retire(session, racer.agent_id, "lost", datetime.now(UTC))
                    another = Racer(database, CHANCE if kills < KILLS else 0.0, AGENTS + kills)
                    racers[another.heard] = another
            else:
                ended.update(cohort)
                held.append(count)

    assert kills >= KILLS
    assert max(ended.values()) == 1
    assert 1 < max(held) <= LIMIT
    with database.read() as session:
        succeeded = session.scalars(select(Event.subject).where(Event.kind == "job", Event.to_state == "succeeded")).all()
        assert sorted(succeeded) == sorted(ids)
        assert session.scalar(select(func.count()).where(Job.state == "succeeded")) == JOBS
        outcomes = dict(session.execute(select(Attempt.outcome, func.count()).group_by(Attempt.outcome)).all())
    # Nobody writes down here how an attempt ended that was not lost.
    assert outcomes.keys() == {None, "lost"}
    assert outcomes[None] == JOBS

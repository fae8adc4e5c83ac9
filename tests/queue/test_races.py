"""Agents in processes of their own that race for thousands of jobs: each job goes to one of them, and no limit is passed for a moment."""

import multiprocessing
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from counterweight.contracts.ids import new_id
from service.domain.admission import turn
from service.persistence import events, queue
from service.persistence.database import Database
from service.persistence.tables import Attempt, Job, Project
from tests.factories import START, make_agent, make_dataset, make_job, make_project

JOBS, AGENTS = 5_000, 2
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


def _work(url: str, agent_id: str, said: Connection) -> None:
    """Claim and end until nothing is left; tell every claim, and how many jobs of the limited project were held after it at most."""
    claimed, most = list[str](), 0
    with closing(Database(url)) as database:
        while True:
            with database.write() as session:
                cohort = queue.claim_cohort(session, agent_id, ("auto", "cpu"), datetime.now(UTC), lambda _spec, _dataset: PACK)
            with database.read() as session:
                held = select(func.count()).where(Job.agent_id.is_not(None), Job.project_id == "prj_default")
                most = max(most, session.scalar(held) or 0)
                left = session.scalar(select(Job.id).where(Job.state == "queued").limit(1))
            if cohort is not None:
                claimed += [claim.id for claim in cohort.claims]
                with database.write() as session:
                    jobs = list(queue.lock_jobs(session, cohort.claims).values())
                    events.move_jobs(session, jobs, "succeeded", "raced for", datetime.now(UTC))
            elif left is None:
                break
    said.send((claimed, most))


def test_two_agents_that_race_for_five_thousand_jobs_share_none_and_pass_no_limit(database: Database) -> None:
    with database.write() as session:
        ids = _queue_jobs(session, JOBS)
        agents = [make_agent(session).id for _ in range(AGENTS)]
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe(duplex=False) for _ in agents]
    url = database.url.render_as_string(hide_password=False)
    racers = [context.Process(target=_work, args=(url, agent, pipe[1])) for agent, pipe in zip(agents, pipes, strict=True)]

    for racer in racers:
        racer.start()
    told = [pipe[0].recv() for pipe in pipes]
    for racer in racers:
        racer.join()

    claims = Counter(job_id for claimed, _ in told for job_id in claimed)
    assert claims == Counter(ids)
    assert all(claimed for claimed, _ in told)
    assert 1 < max(most for _, most in told) <= LIMIT
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Attempt)) == JOBS
        assert session.scalar(select(func.count()).where(Job.state == "succeeded", Job.fence == 1)) == JOBS

"""Workers, queue and projects from Python and from the command line, against a real service."""

import json

from counterweight.client import Client
from tests.client.conftest import CommandLine


def test_workers_and_what_they_train_are_listed(client: Client, cli: CommandLine, endless_job_id: str) -> None:
    for job in client.jobs.watch(endless_job_id, timeout_s=60):
        if job.state == "running":
            break

    (worker,) = client.workers.list()
    listed = cli.run("workers", "list")

    assert (worker.state, endless_job_id in worker.jobs) == ("ready", True)
    assert {slot.device for slot in worker.devices} == {"cpu"}
    assert worker.id in listed.stdout
    assert "busy" in listed.stdout


def test_the_queue_tells_places_and_what_is_waited_for(client: Client, cli: CommandLine, dataset_id: str) -> None:
    jobs = [client.jobs.submit(dataset_id=dataset_id, resources={"device": "cuda"}, priority=priority) for priority in (40, 60)]

    told = [job.id for job in client.queue.list() if job.queue.blocked_by]
    summary = client.queue.summary()
    listed = cli.run("queue")
    shown = cli.run("jobs", "show", jobs[0].id)

    assert told == [jobs[1].id, jobs[0].id]
    assert summary.queued >= 2
    assert "no connected worker has a GPU" in listed.stdout
    assert "slots busy" in listed.stderr
    assert "no connected worker has a GPU" in shown.stdout
    for job in jobs:
        client.jobs.cancel(job.id)


def test_a_limit_is_set_and_taken_away(client: Client, cli: CommandLine) -> None:
    made = cli.run("projects", "create", "guests", "--jobs", "3", "--quiet")
    project_id = made.stdout.strip()

    limited = json.loads(cli.run("projects", "limit", project_id, "--gpus", "2", "-o", "json").stdout)["limits"]
    freed = client.projects.update(project_id, max_running_jobs=None).limits

    assert (limited["max_running_jobs"], limited["max_running_gpus"]) == (3, 2)
    assert (freed.max_running_jobs, freed.max_running_gpus) == (None, 2)
    assert project_id in cli.run("projects", "list", "--quiet").stdout.split()
    assert client.projects.get(project_id).name == "guests"


def test_draining_a_worker_that_is_not_there_is_refused(cli: CommandLine) -> None:
    refused = cli.run("workers", "drain", "agt_nobody")

    assert refused.returncode == 4
    assert "agt_nobody" in refused.stderr

"""The Ray backend before a stand-in of Ray: the agent's pipe is carried, and how a job ended is told apart."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from counterweight.contracts.mail import Letter
from counterweight.contracts.messages import Cancel, Cancelled, EpochDone
from counterweight.settings import ServerSettings
from service.persistence import mail, queue
from service.persistence.database import Database
from service.persistence.recording import TrainerReport
from tests.api.conftest import until
from tests.factories import make_agent, make_job
from tests.ray.served import until_kept
from tests.ray.stand_in import StandIn
from tests.server import Server
from tests.tables_of_numbers import two_blobs
from tests.training.tables import make_task
from workers.backends import errand
from workers.backends.errand import Errand
from workers.backends.ray import RayBackend
from workers.backends.ray_jobs import RayJobs
from workers.devices import apart, cluster_slots
from workers.processes import End, TrainerProcess

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
EPOCHS = 30
PATIENCE_S = 30


@dataclass(frozen=True)
class Run:
    """A job on the stand-in, with the agent's end of it and its driver's."""

    ray: StandIn
    process: TrainerProcess
    errand: Errand
    channel: str
    database: Database

    def write(self, number: int, letter: Letter) -> None:
        with self.database.write() as session:
            mail.send(session, self.channel, number, letter.model_dump_json())

    def orders(self) -> list[str]:
        with self.database.read() as session:
            return [body for _, body in mail.orders(session, self.channel, after=0)]

    def hear(self, count: int) -> list[TrainerReport]:
        """What the agent hears, up to so many messages."""
        found: list[TrainerReport] = []
        while len(found) < count and self.process.connection.poll(PATIENCE_S):
            found += self.process.reports()
        return found

    def end(self) -> None:
        """Read until the pipe has ended."""
        while not self.process.has_ended:
            assert self.process.connection.poll(PATIENCE_S)
            self.process.reports()


@pytest.fixture
def run(database: Database, tmp_path: Path) -> Iterator[Run]:
    """A job that Ray took at the second asking and says is running, where nothing runs; the lease is short."""
    with database.write() as session:
        make_job(session)
        cohort = queue.claim_cohort(session, make_agent(session).id, ("auto",), NOW)
        assert cohort is not None
    with StandIn("RUNNING") as ray:
        ray.refusals = 1
        backend = RayBackend(database, RayJobs(ray.address, None), "http://127.0.0.1:1", lease_s=0.5)
        assert backend.obstacle() is None
        process = backend.start(make_task(tmp_path).model_copy(update={"device": "cuda:3"}), cohort.claims)
        path = tmp_path / "job_0" / "errand.json"
        until(lambda: bool(ray.jobs))
        assert path.stat().st_mode & 0o777 == 0o600
        given = errand.take(path)
        assert list(ray.jobs) == [f"{cohort.claims[0].id}-1"]
        yield Run(ray, process, given, mail.digest(given.token), database)
        ray.status = "STOPPED"
        process.kill()
        backend.close()


def test_what_a_driver_writes_and_an_agent_says_goes_over_the_pipe(run: Run) -> None:
    said = [EpochDone(job_id="job_1", epoch=epoch, epochs=9, step=5, time=1.0, values={"train/loss": 0.1}) for epoch in range(3)]
    run.process.cancel("job_1")

    run.write(1, Letter(lines=[said[0].model_dump_json(), said[1].model_dump_json()]))
    run.write(2, Letter(lines=[said[2].model_dump_json()]))

    assert run.hear(len(said)) == said
    until(lambda: bool(run.orders()))
    assert run.orders() == [Cancel(job_id="job_1").model_dump_json()]


def test_a_trainer_with_a_gpu_is_told_the_only_one_that_ray_shows_it(run: Run) -> None:
    assert run.errand.task.device == "cuda:0"


def test_a_job_can_have_as_many_gpus_as_a_cluster_is_said_to_have() -> None:
    offered = cluster_slots(ServerSettings(devices="cuda:0", workers=3, ray_cpus=2))

    assert len(apart(offered, range(3))) == 3


def test_a_trainer_that_died_by_itself_has_crashed(run: Run) -> None:
    run.write(1, Letter(died="its process ended with exit code 1"))

    run.end()

    assert run.process.how_it_ended() == End("its process ended with exit code 1")


@pytest.mark.parametrize("status", ["FAILED", "STOPPED", "SUCCEEDED"])
def test_a_job_that_ray_says_is_over_is_lost_after_all_its_words(run: Run, status: str) -> None:
    last = Cancelled(job_id="job_1")
    run.write(1, Letter(lines=[last.model_dump_json()]))
    run.ray.status = status

    heard = run.hear(1)
    run.end()

    assert heard == [last]
    assert run.process.how_it_ended() == End(f"its Ray job ended as {status}: exit code None", is_lost=True)


def test_a_job_that_ray_forgot_is_lost(run: Run) -> None:
    run.ray.jobs.clear()

    run.end()

    assert run.process.how_it_ended().is_lost


def test_a_job_is_lost_when_neither_ray_nor_its_trainer_is_heard_of_for_a_lease(run: Run) -> None:
    run.ray.server.shutdown()
    run.ray.server.server_close()

    run.end()

    end = run.process.how_it_ended()
    assert end.is_lost
    assert "neither Ray nor the trainer" in end.detail


def test_no_job_is_claimed_for_a_cluster_that_does_not_answer(database: Database) -> None:
    with StandIn() as ray:
        there = RayBackend(database, RayJobs(ray.address, None), "http://127.0.0.1:1", lease_s=1).obstacle()
    away = RayBackend(database, RayJobs(ray.address, None), "http://127.0.0.1:1", lease_s=1).obstacle()

    assert (there, away) == (None, f"the Ray cluster at {ray.address.removeprefix('http://')} does not answer")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_killed_driver_costs_an_attempt_and_no_step(tmp_path: Path, database: Database) -> None:
    url = database.url.render_as_string(hide_password=False)
    settings = {"database_url": url, "files_url": f"file://{tmp_path / 'files'}", "lease_s": "2", "checkpoint_s": "0.3", "workers": "1"}
    with StandIn() as ray:
        server = Server(tmp_path / "home", backend="ray", ray_address=ray.address, **settings)
        server.environment["COUNTERWEIGHT_URL"] = server.url
        with server:
            training = {"max_epochs": EPOCHS, "batch_size": 8, "early_stopping": None}
            job_id = server.submit(server.upload(two_blobs(), target="event"), training=training)
            until_kept(database, job_id)
            driver = ray.jobs[f"{job_id}-1"]
            assert driver is not None
            trainers = psutil.Process(driver.pid).children(recursive=True)

            ray.end(f"{job_id}-1")

            assert server.finish(job_id)["state"] == "succeeded", server.tale
            attempts = server.read(f"/jobs/{job_id}/attempts")["data"]
            assert sorted((one["number"], one["outcome"]) for one in attempts) == [(1, "lost"), (2, "succeeded")]
            (loss,) = server.read(f"/jobs/{job_id}/metrics", names="train/loss", points="1000")["series"]
            assert [epoch for _, epoch, _, _ in loss["points"]] == list(range(1, EPOCHS + 1))
            # The trainer went with its driver, as one goes with its agent.
            assert psutil.wait_procs(trainers, timeout=10)[1] == []

"""Ray's jobs over its REST API: three requests, with a bound on how long each may take.

Not through Ray's package: its client imports all of it, wants the cluster's version, and waits for an answer without end.
"""

from dataclasses import dataclass

import httpx

TIMEOUT_S = 5.0
OVER = ("SUCCEEDED", "FAILED", "STOPPED")
SHOWN = 300


class RayAway(Exception):
    """The cluster did not answer, or not as it should."""


@dataclass(frozen=True)
class RayJob:
    """A job as Ray knows it: PENDING, RUNNING, or one of `OVER`."""

    status: str
    message: str

    @property
    def is_over(self) -> bool:
        return self.status in OVER


class RayJobs:
    """The jobs of the cluster whose dashboard is at `address`."""

    def __init__(self, address: str, token: str | None) -> None:
        self.address = httpx.URL(address).netloc.decode()
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._client = httpx.Client(base_url=f"{address}/api", headers=headers, timeout=TIMEOUT_S)

    def answers(self) -> bool:
        try:
            return self._ask("GET", "/version").is_success
        except RayAway:
            return False

    def submit(self, name: str, entrypoint: str, cpus: float, gpus: int, metadata: dict[str, str]) -> None:
        """Start a job under a name of ours; RayAway when Ray does not take it. One that it has by this name already is taken."""
        body = {
            "submission_id": name,
            "entrypoint": entrypoint,
            "entrypoint_num_cpus": cpus,
            "entrypoint_num_gpus": gpus,
            "metadata": metadata,
        }
        answer = self._ask("POST", "/jobs/", body)
        if not answer.is_success and self.find(name) is None:
            raise RayAway(f"it refused the job: {_last_line(answer.text)}")

    def find(self, name: str) -> RayJob | None:
        """Return a job; None when Ray does not know it, or not any more."""
        answer = self._ask("GET", f"/jobs/{name}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        try:
            found = answer.raise_for_status().json()
            return RayJob(str(found["status"]), str(found.get("message") or "").partition("\n")[0][:SHOWN])
        except (httpx.HTTPStatusError, ValueError, KeyError) as error:
            raise RayAway(f"it answered {answer.status_code}: {_last_line(answer.text)}") from error

    def stop(self, name: str) -> None:
        """End a job, if it is there and goes on."""
        self._ask("POST", f"/jobs/{name}/stop")

    def _ask(self, method: str, path: str, body: dict[str, object] | None = None) -> httpx.Response:
        try:
            return self._client.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise RayAway(str(error) or type(error).__name__) from error


def _last_line(text: str) -> str:
    """Ray answers with a traceback: what happened stands last."""
    return (text.strip().splitlines() or [""])[-1][:SHOWN]

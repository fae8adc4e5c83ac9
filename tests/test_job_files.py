"""What a job leaves behind to be read: its log and its files, over HTTP and from a real trainer."""

from typing import Any

from tests.server import Server
from tests.tables_of_numbers import two_blobs


def _log(server: Server, job_id: str) -> list[dict[str, Any]]:
    page = server.read(f"/jobs/{job_id}/logs", wait="30")
    while not page["is_final"]:
        page = server.read(f"/jobs/{job_id}/logs", wait="30", after=str(page["data"][-1]["id"] if page["data"] else 0))
    return list(server.read(f"/jobs/{job_id}/logs")["data"])


def test_a_trainer_that_dies_of_an_error_tells_it_in_the_log(server: Server) -> None:
    dataset_id = server.upload(two_blobs(rows=333), target="event")
    (table,) = (server.home / "files" / "datasets" / dataset_id).rglob("table.parquet")
    table.write_bytes(b"not a table any more")

    job = server.finish(server.submit(dataset_id, limits={"max_attempts": 2}))

    said = _log(server, job["id"])
    assert (job["state"], job["error"]["failure_class"]) == ("failed", "internal")
    assert [line["attempt"] for line in said if line["message"].startswith("ArrowInvalid: ")] == [1, 2]
    assert any(line["message"].endswith(" in read_table") for line in said)
    assert "back in the queue" in next(line["message"] for line in said if line["level"] == "warning")
    assert said[-1]["message"].startswith("its process ended with exit code 1; that was attempt 2 of 2")
    assert not any(str(server.home) in line["message"] for line in said)

"""Retries: what is tried again, how long it waits, and what stays the same."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from counterweight._transport import FIRST_PAUSE_S, LONGEST_PAUSE_S, RETRIES, Transport
from counterweight.contracts.base import View
from counterweight.contracts.problems import Problem
from counterweight.errors import Conflict, Invalid, NotFound, ProblemError, ServerFailed, ServerUnreachable, Unauthorized, UnexpectedAnswer
from tests.client.scripted import NOBODY, Answer, Scripted, scripted


class Thing(View):
    id: str = ""


@contextmanager
def talking_to(answers: Sequence[Answer], pauses: list[float] | None = None) -> Iterator[tuple[Transport, Scripted]]:
    """A transport to a server that gives these answers; it notes its pauses instead of taking them."""
    noted = [] if pauses is None else pauses
    with scripted(answers) as server:
        transport = Transport(server.url, "cw_secret", pause=noted.append)
        try:
            yield transport, server
        finally:
            transport.close()


def refusal(status: int, code: str = "some_code", **headers: str) -> Answer:
    problem = Problem(type="/docs/errors#x", title="No", status=status, code=code, detail="not like this", request_id="req_1")
    return Answer(status, problem.model_dump_json(), headers)


@pytest.mark.parametrize("status", [0, 408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(status: int) -> None:
    with talking_to([refusal(status), Answer(200, '{"id": "a"}')]) as (transport, server):
        thing = transport.get("/things/a", Thing)

    assert thing.id == "a"
    assert len(server.asked) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 412, 413, 415, 422, 507])
def test_what_stays_refused_is_asked_once(status: int) -> None:
    with talking_to([refusal(status)]) as (transport, server), pytest.raises(ProblemError):
        transport.get("/things/a", Thing)

    assert len(server.asked) == 1


def test_retries_end_with_the_last_refusal() -> None:
    with talking_to([refusal(503)] * (RETRIES + 1)) as (transport, server), pytest.raises(ServerFailed):
        transport.get("/things/a", Thing)

    assert len(server.asked) == RETRIES + 1


def test_every_retry_of_a_post_carries_its_one_idempotency_key_and_body() -> None:
    with talking_to([refusal(503), refusal(502), Answer(201), Answer(201)]) as (transport, server):
        transport.post("/things", Thing, '{"x": 1}')
        transport.post("/things", Thing, '{"x": 1}')

    keys = [asked.headers["Idempotency-Key"] for asked in server.asked]
    assert len(set(keys[:3])) == 1
    assert keys[3] != keys[0]
    assert {asked.body for asked in server.asked} == {b'{"x": 1}'}


def test_a_file_is_sent_whole_again_in_a_retry(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b"a,b\n" * 50_000)

    with talking_to([refusal(503), Answer(202)]) as (transport, server):
        transport.post_file("/datasets", Thing, path, "text/csv", {"name": "t"})

    assert [asked.body for asked in server.asked] == [path.read_bytes()] * 2


def test_pauses_double_and_vary_a_little() -> None:
    pauses: list[float] = []

    with talking_to([refusal(500), refusal(500), Answer(200)], pauses) as (transport, _):
        transport.get("/things/a", Thing)

    for retry, pause_s in enumerate(pauses):
        longest = min(FIRST_PAUSE_S * 2**retry, LONGEST_PAUSE_S)
        assert 0.75 * longest <= pause_s <= longest


def test_the_servers_own_wish_for_a_pause_is_kept() -> None:
    pauses: list[float] = []

    with talking_to([refusal(429, **{"Retry-After": "7"}), Answer(200)], pauses) as (transport, _):
        transport.get("/things/a", Thing)

    assert pauses == [7.0]


def test_a_wish_for_a_long_pause_is_the_callers_to_grant() -> None:
    with talking_to([refusal(429, **{"Retry-After": "3600"})]) as (transport, server), pytest.raises(ProblemError):
        transport.get("/things/a", Thing)

    assert len(server.asked) == 1


def test_a_conflict_that_passes_by_itself_is_waited_out() -> None:
    pauses: list[float] = []

    with talking_to([refusal(409, "idempotency_in_flight", **{"Retry-After": "1"}), Answer(201)], pauses) as (transport, _):
        transport.post("/things", Thing, "{}")

    assert pauses == [1.0]


@pytest.mark.parametrize(("status", "kind"), [(401, Unauthorized), (404, NotFound), (409, Conflict), (422, Invalid), (507, ServerFailed)])
def test_a_refusal_becomes_an_exception_of_its_kind(status: int, kind: type[ProblemError]) -> None:
    with talking_to([refusal(status)]) as (transport, _), pytest.raises(kind) as raised:
        transport.get("/things/a", Thing)

    assert (raised.value.status, raised.value.code, raised.value.request_id) == (status, "some_code", "req_1")


def test_nobody_listening_is_told_with_the_way_out() -> None:
    pauses: list[float] = []
    transport = Transport(NOBODY, None, pause=pauses.append)

    with pytest.raises(ServerUnreachable, match="counterweight serve"):
        transport.get("/things/a", Thing)

    assert len(pauses) == RETRIES
    transport.close()


@pytest.mark.parametrize("url", ["127.0.0.1:8321", "ftp://host", "", "http://[::1"])
def test_what_is_no_address_is_not_tried_again(url: str) -> None:
    pauses: list[float] = []

    with pytest.raises(ServerUnreachable):
        Transport(url, None, pause=pauses.append).get("/things/a", Thing)

    assert pauses == []


@pytest.mark.parametrize("answer", [Answer(200, "<html>hello</html>"), Answer(404, "<html>nothing</html>"), Answer(302, "")])
def test_another_server_at_the_address_is_recognised(answer: Answer) -> None:
    with talking_to([answer]) as (transport, _), pytest.raises(UnexpectedAnswer, match="COUNTERWEIGHT_URL"):
        transport.get("/things/a", Thing)


def test_fields_of_a_newer_server_are_passed_over() -> None:
    with talking_to([Answer(200, '{"id": "a", "invented_later": 1}')]) as (transport, _):
        assert transport.get("/things/a", Thing).id == "a"


def test_the_key_is_sent_as_a_bearer() -> None:
    with talking_to([Answer(200)]) as (transport, server):
        transport.get("/things/a", Thing)

    assert server.asked[0].headers["Authorization"] == "Bearer cw_secret"


def test_a_proxy_of_the_environment_is_not_asked_for_this_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", NOBODY)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)

    with talking_to([Answer(200)]) as (transport, server):
        transport.get("/things/a", Thing)

    assert len(server.asked) == 1

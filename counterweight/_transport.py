"""Requests and their retries: the only module that knows the HTTP library."""

import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ValidationError

from counterweight.contracts.problems import Problem
from counterweight.errors import ServerUnreachable, UnexpectedAnswer, problem_error

Answer = TypeVar("Answer", bound=BaseModel)
Query = Mapping[str, str | int | float | None]

RETRIES = 2
RETRIED = frozenset({408, 429, 500, 502, 503, 504})
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 8.0
LONGEST_RETRY_AFTER_S = 60.0
"""A server that asks for more patience than this gets none: the caller decides."""

CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 5.0, 60.0


class Transport:
    """One server, one key. Every POST carries an `Idempotency-Key` that stays the same over its retries."""

    def __init__(self, url: str, api_key: str | None, pause: Callable[[float], None] = time.sleep) -> None:
        headers = {"Accept": "application/json", "User-Agent": "counterweight-python"}
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        self.url = url.rstrip("/")
        self._pause = pause
        try:
            # A proxy from the environment can reach other hosts, but not this host's loopback.
            self._http = httpx.Client(base_url=f"{self.url}/api/v1", headers=headers, trust_env=not _is_loopback(self.url))
        except (httpx.InvalidURL, ValueError) as error:
            raise ServerUnreachable(f"{url!r} is not a server's URL, such as http://127.0.0.1:8321: {error}") from None

    def get(self, path: str, into: type[Answer], query: Query | None = None, wait_s: float = 0) -> Answer:
        """Read something that the server may hold back for `wait_s`."""
        return self._parse(self._exchange("GET", path, query=query, read_timeout_s=wait_s + READ_TIMEOUT_S), into)

    def get_held(self, path: str, into: type[Answer], wait_s: float, since_version: int | None) -> Answer:
        """Read a resource that the server may hold back until it is newer than `since_version`, for `wait_s` at most."""
        query: Query = {"wait": wait_s, "since_version": since_version} if wait_s > 0 else {}
        return self.get(path, into, query, wait_s)

    def post(self, path: str, into: type[Answer], document: str | None = None, query: Query | None = None) -> Answer:
        """Send a JSON text, or nothing."""
        headers = {} if document is None else {"Content-Type": "application/json"}
        return self._parse(self._exchange("POST", path, query=query, headers=headers, content=(document or "").encode()), into)

    def post_file(self, path: str, into: type[Answer], file: Path, content_type: str, query: Query) -> Answer:
        """Stream a file as the body: it is never held in memory, and read again from the start for a retry."""
        return self._parse(self._exchange("POST", path, query=query, headers={"Content-Type": content_type}, content=file), into)

    def patch(self, path: str, into: type[Answer], document: str, version: int | None) -> Answer:
        """Send a merge patch; with `version`, Conflict when it has another one by now."""
        headers = {"Content-Type": "application/merge-patch+json", **_if_match(version)}
        return self._parse(self._exchange("PATCH", path, headers=headers, content=document.encode()), into)

    def delete(self, path: str, into: type[Answer], query: Query | None = None, version: int | None = None) -> Answer:
        return self._parse(self._exchange("DELETE", path, query=query, headers=_if_match(version)), into)

    @contextmanager
    def stream(self, path: str, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        """Open an answer whose body is read piece by piece; ServerUnreachable also when it breaks off. Nothing is tried again."""
        timeout = httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        try:
            with self._http.stream(
                "GET", path, headers={"Accept": "*/*", "Accept-Encoding": "identity", **headers}, timeout=timeout
            ) as response:
                if response.status_code >= 300:
                    response.read()
                    self._refuse(response)
                yield response
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    def close(self) -> None:
        self._http.close()

    def _exchange(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | Path = b"",
        read_timeout_s: float = READ_TIMEOUT_S,
    ) -> httpx.Response:
        """Send until an answer is final; raise what it or its absence means."""
        idempotency = {"Idempotency-Key": str(uuid.uuid4())} if method == "POST" else {}
        asked = {name: value for name, value in (query or {}).items() if value is not None}
        for retry in range(RETRIES + 1):
            try:
                with content.open("rb") if isinstance(content, Path) else nullcontext(content) as body:
                    response = self._http.request(
                        method,
                        path,
                        params=asked,
                        headers={**(headers or {}), **idempotency},
                        content=body,
                        timeout=httpx.Timeout(read_timeout_s, connect=CONNECT_TIMEOUT_S),
                    )
            except httpx.TransportError as error:
                if retry == RETRIES or isinstance(error, httpx.UnsupportedProtocol):
                    raise self._unreachable(error) from error
                self._pause(_backoff_s(retry))
            else:
                wait_s = _wait_before_retry(response, retry)
                if wait_s is None:
                    return self._refuse(response) if response.status_code >= 300 else response
                self._pause(wait_s)
        raise AssertionError("the last try either returns or raises")

    def _refuse(self, response: httpx.Response) -> httpx.Response:
        try:
            problem = Problem.model_validate_json(response.content)
        except ValidationError:
            raise UnexpectedAnswer(
                f"{response.request.url} answered HTTP {response.status_code} without saying why in Counterweight's form; "
                f"is COUNTERWEIGHT_URL={self.url} the address of a Counterweight server?"
            ) from None
        raise problem_error(problem)

    def _parse(self, response: httpx.Response, into: type[Answer]) -> Answer:
        try:
            # Fields of a newer server are passed over, in the parts that are requests too.
            return into.model_validate_json(response.content, extra="ignore")
        except ValidationError as error:
            raise UnexpectedAnswer(
                f"cannot read the answer of {response.request.url} as {into.__name__}; is COUNTERWEIGHT_URL={self.url} the address "
                f"of a Counterweight server, and this client as new as it? {error.errors()[0]['msg']}"
            ) from error

    def _unreachable(self, error: httpx.TransportError) -> ServerUnreachable:
        return ServerUnreachable(
            f"no answer from {self.url}: {error or type(error).__name__}. Start a server with `counterweight serve`, "
            "or set COUNTERWEIGHT_URL to the address of one"
        )


def _if_match(version: int | None) -> dict[str, str]:
    return {} if version is None else {"If-Match": f'"{version}"'}


def _wait_before_retry(response: httpx.Response, retry: int) -> float | None:
    """Return how long to pause before trying again; None when this answer stands."""
    if retry == RETRIES:
        return None
    asked_s = _retry_after_s(response)
    # A 409 with Retry-After passes by itself (the first request still runs); one without needs the caller.
    if response.status_code not in RETRIED and not (response.status_code == 409 and asked_s is not None):
        return None
    if asked_s is None:
        return _backoff_s(retry)
    return asked_s if asked_s <= LONGEST_RETRY_AFTER_S else None


def _retry_after_s(response: httpx.Response) -> float | None:
    try:
        return max(0.0, float(response.headers["Retry-After"]))
    except (KeyError, ValueError):
        return None


def _backoff_s(retry: int) -> float:
    """Double each time, and shave off up to a quarter at random, so that clients that failed together return apart."""
    return min(FIRST_PAUSE_S * 2.0**retry, LONGEST_PAUSE_S) * random.uniform(0.75, 1.0)


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

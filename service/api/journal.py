"""Every request's own id and its line in the log, and the answer to everything that was raised."""

import contextvars
import logging
import re
import secrets
import time
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.codes import CODES
from service.api.problems import refusal_of
from service.domain.errors import ServiceError

logger = logging.getLogger(__name__)

_SANE_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")

SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""What each answer says unless its route says otherwise."""


class RequestIds(logging.Filter):
    """Puts the id of the request at hand before each message."""

    def filter(self, record: logging.LogRecord) -> bool:
        request_id = _request_id.get()
        if request_id:
            record.msg, record.args = f"{request_id} {record.getMessage()}", None
        return True


class Journal:
    """The outermost layer: names each request, logs it, and answers what was raised."""

    def __init__(self, app: ASGIApp, respond: Callable[[Scope, ServiceError], Response]) -> None:
        self._app, self._respond = app, respond

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = Headers(scope=scope).get("x-request-id", "")
        request_id = asked if _SANE_ID.fullmatch(asked) else f"req_{secrets.token_hex(12)}"
        scope.setdefault("state", {})["request_id"] = request_id
        _request_id.set(request_id)
        started, status = time.perf_counter(), 0

        async def named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                for name, value in SAFE_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, named)
        except Exception as error:
            refusal = refusal_of(error)
            if CODES[refusal.code].status >= 500:
                logger.exception("%s %s failed", scope["method"], scope["path"])
            if status:
                raise  # Half an answer is out: closing the connection is all that is left to say.
            await self._respond(scope, refusal)(scope, receive, named)
        finally:
            logger.info("%s %s %s %.1f ms", scope["method"], scope["path"], status, 1000 * (time.perf_counter() - started))

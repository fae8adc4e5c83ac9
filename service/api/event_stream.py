"""The answer that goes on: a snapshot first, then what has happened since, as it happens, and `end` when nothing more will."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from counterweight.contracts.base import View
from service.api.feed import Feed, Frame, Stream, frame, retry
from service.api.problems import refused
from service.domain.callers import Caller

MEDIA_TYPE = "text/event-stream"
RETRY_MS = (1000, 3000)
"""When clients are to come back after a break: at different moments, so that a restart does not meet all of them at once."""

STALLED_S = 30.0
"""A client that takes nothing for so long is cut off."""

BEGIN_S = 5.0
PAGE = 500


@dataclass(frozen=True)
class Opening:
    """How the subject was when the log was settled up to `settled`, of `last` ids given out; with `end` when it was over by then."""

    settled: int
    last: int
    view: View
    end: bytes | None


class EventStream(Response):
    """Streams what is said of `topic` to one client, after the event `known` if it names one."""

    media_type = MEDIA_TYPE

    def __init__(
        self,
        feed: Feed,
        topic: str,
        caller: Caller,
        known: int | None,
        look: Callable[[], Awaitable[Opening]],
        read: Callable[[int, int, int], Sequence[Frame]],
    ) -> None:
        # A proxy that collects answers before passing them on would keep everything to itself.
        super().__init__(headers={"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._feed, self._topic, self._caller, self._known, self._look, self._read = feed, topic, caller, known, look, read

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._until_begun()
        with self._feed.following(self._topic, self._caller) as stream:
            # Whatever is wrong is raised here, before the answer begins.
            opening = await self._look()
            listener = asyncio.ensure_future(_until_gone(receive))
            listener.add_done_callback(lambda _: stream.end())
            try:
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                await self._send_all(opening, stream, send)
            except TimeoutError:
                return  # It takes nothing: whoever called us closes the connection.
            finally:
                listener.cancel()

    async def _until_begun(self) -> None:
        try:
            async with asyncio.timeout(BEGIN_S):
                await self._feed.begun.wait()
        except TimeoutError:
            raise refused("unavailable", "the event log cannot be read yet; try again") from None

    async def _send_all(self, opening: Opening, stream: Stream, send: Send) -> None:
        # An id that was never given out is of another record: nothing can be gone on with.
        is_known = self._known is not None and self._known <= opening.last
        after = self._known if is_known and self._known is not None else opening.settled
        # What was published before this stream began is read from the log, what came later waits in the stream.
        upto = max(after, opening.settled, stream.begun_at)
        pause = retry(random.randint(*RETRY_MS))
        # Under the id that is to be gone on from: who loses the connection now has had nothing of what follows.
        await _send(send, pause[:-1] + frame("snapshot", opening.view, after))
        while found := await run_in_threadpool(self._read, after, upto, PAGE):
            await _send(send, b"".join(one.body for one in found))
            after = found[-1].id or upto
        end = opening.end
        while end is None and (taken := await stream.take()):
            fresh = [one for one in taken if one.id is None or one.id > upto]
            end = next((one.end for one in fresh if one.end is not None and self._topic != self._caller.project_id), None)
            await _send(send, b"".join(one.body for one in fresh))
        # Without `end` there is more to come, elsewhere or later: the client comes back for it.
        await _send(send, end or pause, more=False)


async def _send(send: Send, body: bytes, *, more: bool = True) -> None:
    message: Message = {"type": "http.response.body", "body": body, "more_body": more}
    async with asyncio.timeout(STALLED_S):
        await send(message)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

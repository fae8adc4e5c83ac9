"""The routes of trainers that run elsewhere: they tell of their own attempt, and hear what to do. Clients have no use for them."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import ValidationError

from counterweight.contracts.mail import Letter, Orders
from service.api.bodies import StrictRoute
from service.api.dependencies import Channel, ReadSession, WriteSession
from service.api.problems import refused
from service.domain.errors import TooLarge
from service.persistence import mail

MAX_LETTER_BYTES = 32 * 2**20
"""An evaluation of many classes with all its curves is some megabytes."""

router = APIRouter(prefix="/trainer", route_class=StrictRoute, include_in_schema=False)


async def letter(request: Request, _: Channel) -> Letter:
    """Read the body, of bounded size."""
    chunks, size = [], 0
    async for chunk in request.stream():
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_LETTER_BYTES:
            raise TooLarge(f"a letter may have {MAX_LETTER_BYTES} bytes; this one has more")
    try:
        return Letter.model_validate_json(b"".join(chunks))
    except ValidationError as error:
        raise refused("malformed_json", f"this is no letter: {error.errors()[0]['msg']}"[:300]) from None


@router.put("/letters/{number}", operation_id="trainer_send", status_code=204)
def send_letter(
    channel: Channel, read: Annotated[Letter, Depends(letter)], session: WriteSession, number: Annotated[int, Path(ge=1, lt=2**31)]
) -> None:
    """Take a letter for the agent; the same number again is the same letter."""
    mail.send(session, channel, number, read.model_dump_json())


@router.get("/orders", operation_id="trainer_orders")
def read_orders(channel: Channel, session: ReadSession, after: Annotated[int, Query(ge=0, lt=2**31)] = 0) -> Orders:
    """Answer what the agent has told the trainer since an order."""
    found = mail.orders(session, channel, after)
    return Orders(lines=[body for _, body in found], last=found[-1][0] if found else after)

"""Forms as browsers post them: a few short fields."""

from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, Request

from service.api.problems import refused
from service.domain.errors import TooLarge, UnsupportedMedia

MAX_FORM_BYTES = 16 * 1024
CONTENT_TYPE = "application/x-www-form-urlencoded"


async def posted(request: Request) -> dict[str, str]:
    """Return the fields of a posted form; of one that comes twice, the last."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != CONTENT_TYPE:
        raise UnsupportedMedia(f"this address takes a form, `Content-Type: {CONTENT_TYPE}`")
    content = b""
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_FORM_BYTES:
            raise TooLarge(f"a form may have {MAX_FORM_BYTES} bytes; this one has more")
    try:
        return dict(parse_qsl(content.decode("utf-8"), keep_blank_values=True, errors="strict"))
    except UnicodeDecodeError:
        raise refused("malformed_request", "the form is not UTF-8") from None


Posted = Annotated[dict[str, str], Depends(posted)]

"""Letters between a trainer that runs elsewhere and its agent: what a pipe would carry, over HTTP."""

from pydantic import Field

from counterweight.contracts.base import Request, View


class Letter(Request):
    """What a trainer has said since the letter before: its messages, each as the JSON that it is.

    One without lines only shows that the trainer lives. The last may tell how the trainer's process died.
    """

    lines: list[str] = []
    died: str | None = Field(default=None, max_length=1000)


class Orders(View):
    """What a trainer is told to do, each as the JSON that it is; `last` is the number of the latest of all."""

    lines: list[str]
    last: int

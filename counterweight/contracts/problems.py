"""Errors as the service answers them: RFC 9457 problem details."""

from pydantic import Field

from counterweight.contracts.base import View


class FieldError(View):
    """One field of a request that cannot be accepted."""

    pointer: str = Field(description="JSON pointer to the field, such as `/loss/gamma`.")
    code: str
    message: str


class Problem(View):
    """A refused request (RFC 9457), or why a dataset or a job failed."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    instance: str | None = None
    request_id: str | None = None
    errors: list[FieldError] = []
    allowed_actions: list[str] | None = None


class JobProblem(Problem):
    """Why a job failed, and what its owner can do about it."""

    failure_class: str
    hint: str | None = None


def problem_type(code: str) -> str:
    """The URI reference that names a kind of problem."""
    return f"/docs/errors#{code}"

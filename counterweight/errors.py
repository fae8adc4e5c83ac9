"""What a client raises: the server's refusals by kind, and the ways in which no answer comes."""

from counterweight.contracts.problems import FieldError, Problem


class ClientError(Exception):
    """Base of everything the client raises; the message says what happened and the way out."""


class ServerUnreachable(ClientError):
    """No answer from the server, retries included."""


class UnexpectedAnswer(ClientError):
    """Something answered, but not as Counterweight does."""


class DigestMismatch(ClientError):
    """A file came with other bytes than the server has on record."""


class WaitTimeout(ClientError, TimeoutError):
    """The wait ended before what was waited for did; that goes on."""


class ProblemError(ClientError):
    """The server refused (RFC 9457). `errors` points at the fields; `request_id` finds the request in the server's log."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail or problem.title)
        self.problem = problem

    @property
    def status(self) -> int:
        return self.problem.status

    @property
    def code(self) -> str:
        return self.problem.code

    @property
    def detail(self) -> str:
        return self.problem.detail

    @property
    def errors(self) -> list[FieldError]:
        return self.problem.errors

    @property
    def request_id(self) -> str | None:
        return self.problem.request_id


class Unauthorized(ProblemError):
    """401: no key, or one that does not work."""


class Forbidden(ProblemError):
    """403, 421: the key may not do this, or the server does not answer to the name it was called by."""


class NotFound(ProblemError):
    """404: no such thing in the key's project."""


class Conflict(ProblemError):
    """409, 412: the thing is not in a state that allows this; `problem.allowed_actions` are what it does allow."""


class Invalid(ProblemError):
    """400, 413, 415, 422: the request cannot be carried out as written."""


class QuotaExceeded(ProblemError):
    """429: too much asked for now."""


class ServerFailed(ProblemError):
    """5xx: the server could not do it."""


_BY_STATUS: dict[int, type[ProblemError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    421: Forbidden,
    409: Conflict,
    412: Conflict,
    429: QuotaExceeded,
}


def problem_error(problem: Problem) -> ProblemError:
    """Return the exception for a problem, by its status."""
    default = ServerFailed if problem.status >= 500 else Invalid
    return _BY_STATUS.get(problem.status, default)(problem)

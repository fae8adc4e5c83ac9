"""What is said on standard error when a command cannot do its work, and the exit code that means it."""

import sys

from pydantic import ValidationError

from counterweight.commands.codes import INVALID, NOT_ALLOWED, TIMED_OUT, UNREACHABLE
from counterweight.errors import (
    ClientError,
    DigestMismatch,
    Forbidden,
    NotFound,
    ProblemError,
    QuotaExceeded,
    ServerFailed,
    ServerUnreachable,
    Unauthorized,
    UnexpectedAnswer,
    WaitTimeout,
)
from counterweight.logs import escape


def explain(error: Exception) -> int:
    """Say what went wrong and the way out; return the exit code. Raises what is nobody's mistake but ours."""
    match error:
        case ProblemError():
            _explain_problem(error)
        case ClientError():
            say(f"Error: {error}")
        case OSError():
            say(f"Error: {error.strerror}: {error.filename}" if error.filename else f"Error: {error}")
        case ValidationError():
            _explain_settings(error)
        case _:
            raise error
    return code_of(error)


def code_of(error: Exception) -> int:
    match error:
        case Unauthorized() | Forbidden() | NotFound():
            return NOT_ALLOWED
        case ServerUnreachable() | UnexpectedAnswer() | ServerFailed() | QuotaExceeded() | DigestMismatch():
            return UNREACHABLE
        case WaitTimeout():
            return TIMED_OUT
        case _:
            return INVALID


def say(text: str) -> None:
    """Write a line to standard error; what a server or a file put into it cannot steer the terminal."""
    sys.stderr.write(escape(text) + "\n")


def _explain_problem(error: ProblemError) -> None:
    problem = error.problem
    say(f"Error: {problem.title} ({problem.code})")
    say(f"  {problem.detail}")
    for field in problem.errors:
        # The detail of a single wrong field says all there is.
        if field.message not in problem.detail:
            say(f"  {field.pointer}: {field.message}")
    if problem.allowed_actions is not None:
        say(f"  It allows: {', '.join(problem.allowed_actions) or 'nothing more'}")
    if isinstance(error, Unauthorized):
        say("  Set COUNTERWEIGHT_API_KEY to a key that works")
    if problem.request_id:
        say(f"  Request {problem.request_id}")


def _explain_settings(error: ValidationError) -> None:
    """Settings are the only input that a command checks by itself; the server judges all other."""
    say("Error: the settings cannot be used")
    for wrong in error.errors():
        name = f"COUNTERWEIGHT_{'_'.join(str(part) for part in wrong['loc'])}".upper()
        say(f"  {name}: {wrong['msg'].removeprefix('Value error, ')}")

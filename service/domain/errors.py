"""What a caller of the service can act on; `api/problems.py` alone maps these to HTTP."""

from collections.abc import Sequence

from counterweight.contracts.problems import FieldError


class ServiceError(Exception):
    """Base of all refusals: `code` is from the closed list, the message names the thing, the value and the way out."""

    code = "internal"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class NotFound(ServiceError):
    """No such thing in the caller's project."""

    code = "not_found"


class Unauthenticated(ServiceError):
    """No key, or one that is unknown, expired or revoked."""

    code = "unauthenticated"


class Forbidden(ServiceError):
    """The key may not do this, or the request comes from a foreign page."""

    code = "forbidden"


class Invalid(ServiceError):
    """A request that is well-formed JSON but cannot be carried out as written."""

    code = "invalid"

    def __init__(self, detail: str, *, code: str = "invalid", errors: Sequence[FieldError] = ()) -> None:
        super().__init__(detail)
        self.code = code
        self.errors = list(errors)

    @classmethod
    def at(cls, pointer: str, code: str, message: str) -> "Invalid":
        """One field is wrong; the pointer says which."""
        return cls(message, code=code, errors=[FieldError(pointer=pointer, code=code, message=message)])


class WrongState(ServiceError):
    """The thing is not in a state that allows this; `allowed_actions` are what it does allow."""

    code = "wrong_state"

    def __init__(self, detail: str, allowed_actions: Sequence[str], *, code: str = "wrong_state") -> None:
        super().__init__(detail)
        self.code = code
        self.allowed_actions = list(allowed_actions)


class StaleVersion(ServiceError):
    """The thing was changed since the caller looked."""

    code = "stale_version"


class NotReady(ServiceError):
    """Something still going on must end first; try again after `retry_after_s`."""

    def __init__(self, detail: str, *, code: str, retry_after_s: int = 1) -> None:
        super().__init__(detail)
        self.code = code
        self.retry_after_s = retry_after_s


class TooLarge(ServiceError):
    """More bytes than this server accepts."""

    code = "too_large"


class RangeNotSatisfiable(ServiceError):
    """A part was asked for that lies outside the file, which has `size` bytes."""

    code = "range_not_satisfiable"

    def __init__(self, detail: str, size: int) -> None:
        super().__init__(detail)
        self.size = size


class UnsupportedMedia(ServiceError):
    """A content type this route does not take."""

    code = "unsupported_media_type"


class StorageFull(ServiceError):
    """No room for the file."""

    code = "storage_full"


class LostClaim(Exception):
    """The caller no longer holds the work it claimed: another agent has it, or its owner ended it."""

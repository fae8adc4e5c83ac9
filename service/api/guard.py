"""Who may ask at all: known host names, no foreign pages, and a valid key where keys exist."""

from collections.abc import Callable
from datetime import UTC, datetime

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Receive, Scope, Send

from counterweight.settings import ServerSettings
from service.api.held import Held
from service.api.problems import refused
from service.domain.callers import Caller, Trainer
from service.domain.errors import Unauthenticated
from service.persistence import keys, mail
from service.persistence.database import Database
from service.persistence.tables import DEFAULT_PROJECT

PUBLIC = frozenset({"/", "/healthz", "/readyz", "/openapi.json", "/docs", "/docs/errors", "/ui/sign-in", "/ui/sign-out"})
PUBLIC_BELOW = ("/static/",)
"""What needs no key, and below which nothing does: pages and their files. What pages show they ask for with the user's key."""

KEY_COOKIE = "counterweight_key"
"""Where a browser that has signed in carries its key. SameSite=Strict, and foreign pages are refused besides."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
CALLER_HELD_S = 0.2
"""So long after its end, at most, a key that expires still opens; one that is revoked opens nothing any more."""

MAX_HEADERS = 100
MAX_HEADER_BYTES = 32 * 1024

Authenticate = Callable[[str | None], Caller | Trainer]


class Guard:
    """Stands before all routes, whatever their method: what it does not know does not pass."""

    def __init__(self, app: ASGIApp, host_names: frozenset[str], authenticate: Authenticate, held: Held) -> None:
        self._app, self._authenticate, self._held = app, authenticate, held
        self._host_names = {name.lower() for name in host_names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            raise RuntimeError(f"{scope['type']} is not served")
        await self._admit(scope)
        await self._app(scope, receive, send)

    async def _admit(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        _check_size(headers)
        self._check_host(headers)
        if scope["method"] not in SAFE_METHODS:
            _check_origin(headers)
        if not is_public(scope["path"]):
            scope["state"]["caller"] = await self._caller(headers.get("authorization") or _signed_in(headers))

    async def _caller(self, authorization: str | None) -> Caller | Trainer:
        return await self._held.get(("caller", authorization), lambda: self._authenticate(authorization), lambda _: CALLER_HELD_S)

    def _check_host(self, headers: Headers) -> None:
        """A page of a foreign name that points here (DNS rebinding) gets nothing."""
        hosts = headers.getlist("host")
        if len(hosts) != 1:
            raise refused("malformed_request", f"a request needs one Host header; this one has {len(hosts)}")
        if _without_port(hosts[0]).lower() not in self._host_names:
            detail = f"this server does not answer to {hosts[0][:100]!r}; name it in COUNTERWEIGHT_ALLOWED_HOSTS if it should"
            raise refused("host_not_allowed", detail)


def is_public(path: str) -> bool:
    return path in PUBLIC or path.startswith(PUBLIC_BELOW)


def authenticator(settings: ServerSettings, database: Database) -> Authenticate:
    """Return what finds out who asks. Bound to loopback, everybody may do all until the first key is made."""
    is_loopback = settings.is_loopback

    def authenticate(authorization: str | None) -> Caller | Trainer:
        scheme, _, secret = (authorization or "").partition(" ")
        now = datetime.now(UTC)
        with database.read() as session:
            if secret.startswith(mail.PREFIX):
                channel = mail.verify(session, secret)
                if channel is None:
                    raise Unauthenticated("this trainer's attempt has ended: nobody listens to it any more")
                return Trainer(channel)
            caller = keys.verify(session, secret.strip(), now) if scheme.lower() == "bearer" else None
            if caller is None and is_loopback and not keys.any_made(session):
                return Caller(DEFAULT_PROJECT, "admin")
        if caller is None:
            found = "this API key is unknown, expired or revoked" if authorization else "this server needs an API key"
            raise Unauthenticated(
                f"{found}; send `Authorization: Bearer cw_…` (the command line reads it from "
                "COUNTERWEIGHT_API_KEY). On the server's own host, `counterweight keys create NAME --scope admin --offline` makes one"
            )
        return caller

    return authenticate


def _signed_in(headers: Headers) -> str | None:
    """Return the key of the sign-in page's cookie as a header would bear it: it is asked for again with every request."""
    secret = cookie_parser(headers.get("cookie", "")).get(KEY_COOKIE)
    return f"Bearer {secret}" if secret else None


def _check_size(headers: Headers) -> None:
    size = sum(len(name) + len(value) for name, value in headers.raw)
    if len(headers.raw) > MAX_HEADERS or size > MAX_HEADER_BYTES:
        raise refused("headers_too_large", f"a request may have {MAX_HEADERS} headers of {MAX_HEADER_BYTES} bytes together")


def _check_origin(headers: Headers) -> None:
    """Browsers say which page a request comes from; only our own pages may change anything."""
    origin, host = headers.get("origin"), headers["host"]
    is_foreign = origin is not None and origin.partition("://")[2].lower() != host.lower()
    if is_foreign or headers.get("sec-fetch-site", "").lower() == "cross-site":
        raise refused("foreign_origin", "a page of another site may not change anything here")


def _without_port(host: str) -> str:
    name, separator, port = host.rpartition(":")
    return name if separator and port.isdigit() and (":" not in name or name.startswith("[")) else host

"""API keys: only their SHA-256 is kept, so a leaked record opens nothing."""

import hashlib
import secrets
from collections.abc import Collection
from datetime import datetime

from sqlalchemy import BindParameter, bindparam, exists, or_, select
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement

from counterweight.contracts.ids import is_id, new_id
from counterweight.contracts.keys import KeyView, NewKey, Scope, is_active
from service.domain.callers import Caller
from service.domain.errors import NotFound
from service.persistence.tables import DEFAULT_PROJECT, ApiKey

PREFIX = "cw_"


def add(session: Session, project_id: str, new: NewKey, now: datetime) -> tuple[ApiKey, str]:
    """Make a key of 256 random bits; return its row and the secret, which is not kept."""
    secret = PREFIX + secrets.token_urlsafe(32)
    return _keep(session, project_id, secret, new.name, new.scope, new.expires_at, now), secret


def ensure_bootstrap(session: Session, secret: str, now: datetime) -> None:
    """Let the configured first key in as an admin. A key that was revoked stays revoked."""
    if session.scalar(select(ApiKey.id).where(ApiKey.sha256 == _digest(secret))) is None:
        _keep(session, DEFAULT_PROJECT, secret, "bootstrap", "admin", None, now)


def verify(session: Session, secret: str, now: datetime) -> Caller | None:
    """Return whose key this is; None when it is unknown, expired or revoked.

    The look-up is by digest: how long it takes says nothing about how much of a guess was right.
    """
    key = session.scalar(_OF_SECRET, {"sha256": _digest(secret), "now": now})
    return None if key is None else Caller(key.project_id, _scope(key), key.id)


def any_active(session: Session, now: datetime) -> bool:
    return bool(session.scalar(select(exists().where(_is_active(now)))))


def active_ids(session: Session, key_ids: Collection[str], now: datetime) -> set[str]:
    """Return those of these keys that still open something."""
    return set(session.scalars(select(ApiKey.id).where(ApiKey.id.in_(key_ids), _is_active(now))))


def any_made(session: Session) -> bool:
    """Whether there ever was a key. One that expired or was revoked does not open the server to everybody again."""
    return bool(session.scalar(_ANY_MADE))


def page(session: Session, project_id: str, before: str | None, limit: int) -> list[ApiKey]:
    """Return up to `limit` keys of the project, newest first, of those made before the key `before`."""
    query = select(ApiKey).where(ApiKey.project_id == project_id).order_by(ApiKey.id.desc()).limit(limit)
    return list(session.scalars(query if before is None else query.where(ApiKey.id < before)))


def revoke(session: Session, project_id: str | None, key_id: str, now: datetime) -> ApiKey:
    """End a key, of any project if none is given: the next request that bears it is refused. Revoking again changes nothing."""
    key = session.get(ApiKey, key_id) if is_id("key", key_id) else None
    if key is None or project_id not in (None, key.project_id):
        raise NotFound(f"there is no API key {key_id!r} in this project")
    key.revoked_at = key.revoked_at or now
    return key


def view(key: ApiKey, now: datetime) -> KeyView:
    return KeyView(
        id=key.id,
        project=key.project_id,
        name=key.name,
        scope=_scope(key),
        created_at=key.created_at,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        is_active=is_active(key.expires_at, key.revoked_at, now),
    )


def _keep(session: Session, project_id: str, secret: str, name: str, scope: Scope, expires_at: datetime | None, now: datetime) -> ApiKey:
    key = ApiKey(
        id=new_id("key", now),
        project_id=project_id,
        name=name,
        sha256=_digest(secret),
        scope=scope,
        created_at=now,
        expires_at=expires_at,
        revoked_at=None,
    )
    session.add(key)
    return key


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _is_active(now: datetime | BindParameter[datetime]) -> ColumnElement[bool]:
    return ApiKey.revoked_at.is_(None) & or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > now)


# Made once: they are asked with every request.
_OF_SECRET = select(ApiKey).where(ApiKey.sha256 == bindparam("sha256"), _is_active(bindparam("now")))
_ANY_MADE = select(exists().where(ApiKey.id.is_not(None)))


def _scope(key: ApiKey) -> Scope:
    scope: Scope = key.scope  # type: ignore[assignment]  # Only `add` and `ensure_bootstrap` write it.
    return scope

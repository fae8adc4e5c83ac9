"""Which of several forms of an answer a client would rather have."""

from collections.abc import Sequence

from service.api.problems import refused


def preferred(accept: str | None, offers: Sequence[str]) -> str:
    """Return the media type of `offers` that an `Accept` header likes best, the first of equals; a 406 when it takes none."""
    if accept is None or not accept.strip():
        return offers[0]
    wishes = [_wish(item) for item in accept.split(",")[:50]]
    likings = [max((quality for kind, quality in wishes if _covers(kind, offer)), default=0.0) for offer in offers]
    best = max(likings)
    if best <= 0:
        raise refused("not_acceptable", f"this address answers with {', '.join(offers)}, and the request accepts {accept[:100]!r}")
    return offers[likings.index(best)]


def _wish(item: str) -> tuple[str, float]:
    kind, *parameters = (part.strip().lower() for part in item.split(";"))
    quality = next((parameter[2:] for parameter in parameters if parameter.startswith("q=")), "1")
    try:
        return kind, min(1.0, max(0.0, float(quality)))
    except ValueError:
        return kind, 0.0


def _covers(kind: str, offer: str) -> bool:
    return kind in (offer, f"{offer.partition('/')[0]}/*", "*/*")

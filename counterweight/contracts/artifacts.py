"""The files a job made."""

from counterweight.contracts.base import View


class ArtifactView(View):
    """A file of a succeeded job; `sha256` is of its bytes, and also its `ETag` and its `Repr-Digest`."""

    name: str
    bytes: int
    sha256: str
    media_type: str
    links: dict[str, str]

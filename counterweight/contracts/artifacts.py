"""The files a job made."""

from counterweight.contracts.base import View

PREDICTIONS_FILE = "predictions.parquet"
"""The file of a job that tells what its model says of each validation and test row."""


class ArtifactView(View):
    """A file of a succeeded job; `sha256` is of its bytes, and also its `ETag` and its `Repr-Digest`."""

    name: str
    bytes: int
    sha256: str
    media_type: str
    links: dict[str, str]

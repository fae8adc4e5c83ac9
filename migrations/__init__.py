"""The history of the schema, as Alembic revisions."""

HEAD = "0017"
"""The newest of `versions`: what this release needs."""

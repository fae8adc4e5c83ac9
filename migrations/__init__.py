"""The history of the schema, as Alembic revisions."""

HEAD = "0019"
"""The newest of `versions`: what this release needs."""

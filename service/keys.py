"""`python -P -m service.keys create NAME`: make an API key without a running server, such as the first one."""

import argparse
import sys
from contextlib import closing
from datetime import UTC, datetime

from pydantic import ValidationError
from sqlalchemy.exc import OperationalError

from counterweight.contracts.keys import NewKey
from counterweight.settings import read_server_settings
from service.persistence import keys, revision, schema, starting
from service.persistence.database import Database
from service.persistence.tables import DEFAULT_PROJECT

INVALID = 2


def main() -> int:
    asked = _arguments()
    try:
        new = NewKey.model_validate_json(asked.document)
    except ValidationError as error:
        wrong = error.errors()[0]
        return _refuse(f"{wrong['loc'][0]}: {wrong['msg']}")
    settings = read_server_settings()
    try:
        with closing(Database(settings.sqlalchemy_url)) as database:
            return _create(database, new, is_embedded=settings.is_embedded)
    except revision.SchemaOutdated as error:
        return _refuse(str(error))
    except OperationalError as error:
        return _refuse(starting.unreachable(error, settings))


def _create(database: Database, new: NewKey, *, is_embedded: bool) -> int:
    if is_embedded:
        schema.upgrade(database)
    else:
        revision.wait_until_current(database, 0)
    with database.write() as session:
        row, secret = keys.add(session, DEFAULT_PROJECT, new, datetime.now(UTC))
        made = row.id
    sys.stderr.write(f"Made {made}, scope {new.scope}. Keep the key now; it is not told again.\n")
    sys.stdout.write(f"{secret}\n")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m service.keys", description="Make an API key in the configured database.")
    commands = parser.add_subparsers(required=True)
    create = commands.add_parser("create", help="make a key and print it")
    create.add_argument("document", help='what to make, as JSON: {"name": "ops", "scope": "admin"}')
    return parser.parse_args()


def _refuse(why: str) -> int:
    sys.stderr.write(f"Error: {why}\n")
    return INVALID


if __name__ == "__main__":
    sys.exit(main())

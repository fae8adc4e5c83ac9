"""`counterweight doctor`: every setting, what it is here, and where that comes from."""

import difflib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import SecretStr
from pydantic_settings import BaseSettings

from counterweight.commands.output import Cells, print_many
from counterweight.logs import escape
from counterweight.settings import ClientSettings, ServerSettings, read_server_settings

PREFIX = "COUNTERWEIGHT_"
MASK = "********"


@dataclass(frozen=True)
class Setting:
    """One line of what the doctor says."""

    name: str
    value: str | None
    source: Literal["environment", "default"]
    meaning: str

    @property
    def id(self) -> str:
        return self.name

    def model_dump_json(self, *, indent: int | None = None) -> str:
        return json.dumps(asdict(self), indent=indent)


def examine(style: Literal["table", "json", "jsonl"], is_quiet: bool) -> None:
    """Print the settings; say which variables look like one and are none. Ends the process when one cannot be used."""
    found = [*_found(read_server_settings()), *_found(ClientSettings())]
    print_many(found, style, is_quiet, _row)
    known = [setting.name for setting in found]
    for name in sorted(name.upper() for name in os.environ if name.upper().startswith(PREFIX)):
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            sys.stderr.write(f"{escape(name)} is set, and is not a setting{hint}\n")


def _row(setting: Setting) -> Cells:
    return {"setting": setting.name, "value": setting.value or "–", "from": setting.source}


def _found(settings: BaseSettings) -> Iterator[Setting]:
    given = {name.upper() for name, value in os.environ.items() if value}
    for field, facts in type(settings).model_fields.items():
        name = f"{PREFIX}{field.upper()}"
        yield Setting(name, _shown(settings, field), "environment" if name in given else "default", facts.description or "")


def _shown(settings: BaseSettings, field: str) -> str | None:
    """The value in effect, without any secret; None when there is none."""
    if isinstance(settings, ServerSettings) and field == "database_url":
        return _without_password(settings.sqlalchemy_url)
    if isinstance(settings, ServerSettings) and field == "files_url":
        return f"file://{settings.files_folder}"
    value: Any = getattr(settings, field)
    if isinstance(settings, ClientSettings) and field == "url":
        return _without_password(value)
    if isinstance(value, SecretStr):
        return MASK
    return ",".join(value) or None if isinstance(value, list) else None if value is None else str(value)


def _without_password(url: str) -> str:
    """Also what stands behind `?` is left out: a password may be there too."""
    parts = urlsplit(url)
    user, separator, host = parts.netloc.rpartition("@")
    shown = f"{user.partition(':')[0]}:{MASK}@{host}" if separator and ":" in user else parts.netloc
    return f"{parts.scheme}://{shown}{parts.path}" + (f"?{MASK}" if parts.query else "")

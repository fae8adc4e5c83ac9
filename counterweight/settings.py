"""The settings of a server and of a client: environment variables named COUNTERWEIGHT_*."""

import ipaddress
import socket
import sys
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

INVALID = 2
"""The exit status of a command that was given something it cannot use."""

MISCONFIGURED = 78
"""The exit status that says: starting again would not help (EX_CONFIG of sysexits.h)."""

DATABASES = ("postgresql+psycopg", "postgresql", "sqlite")
"""How the URL of a database may begin."""

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


class ServerSettings(BaseSettings):
    """Everything a server process reads from its environment."""

    model_config = SettingsConfigDict(env_prefix="COUNTERWEIGHT_", extra="ignore", frozen=True, env_ignore_empty=True)

    home: Path = Field(default=Path(".counterweight"), description="Folder of the embedded database, files and logs.")
    database_url: SecretStr | None = Field(default=None, description="`postgresql+psycopg://…`; SQLite in the home when left out.")
    files_url: str | None = Field(default=None, description="Where files are kept, as `file:///folder`; in the home when left out.")
    bind: str = Field(default="127.0.0.1:8321", description="Address and port to listen on.")
    allowed_hosts: Annotated[list[str], NoDecode] = Field(default=[], description="Further `Host` names to answer, comma-separated.")
    devices: str = Field(default="auto", description="`auto`, `cpu`, or a list such as `cuda:0,cuda:1`.")
    backend: Literal["local", "ray"] = Field(default="local", description="What trains: this host, or a Ray cluster.")
    ray_address: str = Field(
        default="http://127.0.0.1:8265", description="Where the Ray cluster's dashboard, and so its Jobs API, answers."
    )
    ray_token: SecretStr | None = Field(default=None, description="The token of a Ray cluster that asks for one.")
    ray_cpus: int = Field(default=1, ge=1, le=1024, description="Processors of a trainer on the Ray cluster.")
    workers: int | None = Field(default=None, ge=0, le=1024, description="Trainer processes on this host; 0 serves the API only.")
    max_cohort: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        default="auto", description="The most jobs trained together; `auto` leaves it to their size, 1 trains every job alone."
    )
    lease_s: float = Field(default=30.0, gt=0, description="Seconds without a beat after which a worker counts as lost.")
    checkpoint_s: float = Field(default=30.0, gt=0, description="Seconds between two checkpoints of a training.")
    bootstrap_key: SecretStr | None = Field(default=None, description="Makes the first admin key; at least 32 characters.")
    max_upload_bytes: int = Field(default=10 * 2**30, gt=0, description="Largest upload accepted.")
    log_format: Literal["text", "json"] = Field(default="text", description="How log lines look.")

    @field_validator("database_url")
    @classmethod
    def _is_a_database(cls, url: SecretStr | None) -> SecretStr | None:
        """The messages do not repeat the URL, which may hold a password."""
        scheme, _, rest = (url or SecretStr("")).get_secret_value().partition("://")
        if url is None:
            return None
        if scheme == "sqlite" and rest.removeprefix("/") in ("", ":memory:"):
            raise ValueError("it names no file; SQLite keeps the record in one, such as sqlite:////srv/counterweight/record.db")
        if scheme not in DATABASES:
            raise ValueError("it must begin with postgresql+psycopg://, or with sqlite:/// and a file; leave it out for SQLite in the home")
        port = rest.partition("?")[0].partition("/")[0].rpartition("@")[2].rpartition("]")[2].partition(":")[2]
        if port and not port.isdigit():
            raise ValueError(
                "its port is not a number; the form is postgresql+psycopg://user:secret@host:5432/name, where a password's / is written "
                "%2F, its @ %40 and its : %3A"
            )
        return url

    @field_validator("home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        return home.expanduser().absolute()

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _split_hosts(cls, hosts: object) -> object:
        return [host.strip() for host in hosts.split(",") if host.strip()] if isinstance(hosts, str) else hosts

    @field_validator("max_cohort", mode="before")
    @classmethod
    def _is_a_number_or_auto(cls, most: object) -> object:
        # Here and not by the union, which would complain once for each of its members.
        if isinstance(most, str) and most != "auto" and not (most.isdecimal() and int(most) >= 1):
            raise ValueError(f"{most!r} is neither `auto` nor a whole number from 1 on")
        return most

    @field_validator("bind")
    @classmethod
    def _has_a_port(cls, bind: str) -> str:
        host, separator, port = bind.rpartition(":")
        if not separator or not host or not port.isdigit() or int(port) > 65535:
            raise ValueError(f"{bind!r} is not an address and a port, such as 127.0.0.1:8321")
        return bind

    @field_validator("ray_address")
    @classmethod
    def _is_an_http_address(cls, url: str) -> str:
        scheme, _, host = url.partition("://")
        if scheme.lower() not in ("http", "https") or not host.strip("/"):
            raise ValueError(f"{url!r} is not the address of a Ray dashboard, such as http://127.0.0.1:8265")
        return url.rstrip("/")

    @field_validator("bootstrap_key")
    @classmethod
    def _is_long(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and len(key.get_secret_value()) < 32:
            raise ValueError("the bootstrap key must have at least 32 characters; for example the output of `openssl rand -hex 32`")
        return key

    @field_validator("files_url")
    @classmethod
    def _is_a_file_url(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith("file:///"):
            raise ValueError(
                f"{url!r} is not a folder's URL; this release keeps files in a local or shared folder, such as file:///srv/counterweight"
            )
        return url

    @property
    def host(self) -> str:
        return self.bind.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.bind.rpartition(":")[2])

    @property
    def is_loopback(self) -> bool:
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def host_names(self) -> frozenset[str]:
        """The `Host` names this server answers to, without ports."""
        return frozenset({*LOOPBACK_NAMES, self.host, socket.gethostname(), *self.allowed_hosts})

    @property
    def most_in_a_cohort(self) -> int | None:
        """The most jobs trained together; None where only their size decides."""
        return None if self.max_cohort == "auto" else self.max_cohort

    @property
    def is_embedded(self) -> bool:
        return self.embedded_database is not None

    @property
    def embedded_database(self) -> Path | None:
        """The SQLite file; None when a server keeps the record."""
        scheme, _, path = self.sqlalchemy_url.partition(":///")
        return Path(path) if scheme.startswith("sqlite") else None

    @property
    def sqlalchemy_url(self) -> str:
        return self.database_url.get_secret_value() if self.database_url else f"sqlite:///{self.home / 'counterweight.db'}"

    @property
    def files_folder(self) -> Path:
        return Path(self.files_url.removeprefix("file://")) if self.files_url else self.home / "files"


def read_server_settings() -> ServerSettings:
    """Read the environment; end the process, with each variable and what is wrong with it, when it makes no sense."""
    try:
        return ServerSettings()
    except ValidationError as error:
        flaws = [f"  COUNTERWEIGHT_{str(flaw['loc'][0]).upper()}: {flaw['msg'].removeprefix('Value error, ')}" for flaw in error.errors()]
        sys.stderr.write("\n".join(["Error: the settings cannot be used", *flaws]) + "\n")
        sys.exit(INVALID)


class ClientSettings(BaseSettings):
    """Where a client finds its server."""

    model_config = SettingsConfigDict(env_prefix="COUNTERWEIGHT_", extra="ignore", frozen=True, env_ignore_empty=True)

    url: str = Field(default="http://127.0.0.1:8321", description="Where the server is.")
    api_key: SecretStr | None = Field(default=None, description="The key to show it.")

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        scheme, _, host = url.partition("://")
        if scheme.lower() not in ("http", "https") or not host.strip("/"):
            raise ValueError(f"{url!r} is not a server's address, such as http://127.0.0.1:8321")
        return url

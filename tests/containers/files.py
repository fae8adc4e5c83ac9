"""Reading the container files: what the Dockerfile's stages are, and what compose makes of a service."""

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


class Stage:
    """The instructions of a stage, with those of the stages it is built on before them."""

    def __init__(self, instructions: list[tuple[str, str]]) -> None:
        self.instructions = instructions

    def last(self, word: str) -> str:
        """The argument of the last `word`: the one in force."""
        return [argument for instruction, argument in self.instructions if instruction == word][-1]

    def command(self, word: str) -> list[str]:
        """The JSON form of ENTRYPOINT, CMD, or of HEALTHCHECK's CMD."""
        parts: list[str] = json.loads(self.last(word).rpartition("CMD ")[2])
        return parts

    @property
    def environment(self) -> dict[str, str]:
        return dict(pair for word, argument in self.instructions if word == "ENV" for pair in re.findall(r"(\w+)=(\S+)", argument))


def _stages() -> dict[str, Stage]:
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if line and not line.startswith("#")]
    found: dict[str, Stage] = {}
    name = ""
    for line in "\n".join(lines).replace("\\\n", "").splitlines():
        word, _, argument = line.partition(" ")
        if word == "FROM":
            parent, _, name = argument.partition(" AS ")
            found[name] = Stage(list(found[parent].instructions) if parent in found else [])
        elif name:
            found[name].instructions.append((word, argument.strip()))
    return found


STAGES = _stages()


class NotGiven(Exception):
    """Compose stops here: a variable it must be given is missing."""


def environment_of(service: str, given: Mapping[str, str]) -> dict[str, str]:
    """What the service's process finds in its environment: from its image, then from compose."""
    image = STAGES[SERVICES[service]["build"]["target"]].environment
    return image | {name: interpolated(str(value), given) for name, value in SERVICES[service]["environment"].items()}


def interpolated(value: str, given: Mapping[str, str]) -> str:
    """Fill in `${NAME:-default}` and `${NAME:?why}`."""

    def fill(match: re.Match[str]) -> str:
        name, kind, rest = match.groups()
        if not given.get(name) and kind == "?":
            raise NotGiven(f"{name}: {rest}")
        return given.get(name) or rest

    return re.sub(r"\$\{(\w+):([-?])([^}]*)\}", fill, value)

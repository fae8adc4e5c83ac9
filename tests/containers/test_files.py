"""The container files agree with each other and with what they are made from."""

import json
import re
import subprocess
from importlib.metadata import distribution

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from counterweight.settings import ServerSettings
from tests.containers.files import COMPOSE, PROJECT, ROOT, SERVICES, STAGES, NotGiven, environment_of

PACKAGES = {name.rstrip("*") for name in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]}
OURS = ("api", "worker", "worker-gpu")
HEAVY = {"duckdb", "numpy", "nvidia-ml-py", "pyarrow", "safetensors", "torch"}
"""What the API's image leaves out."""


def packages_of(extras: list[str]) -> set[str]:
    """The distributions that an install of ours with these extras brings, by what each says it needs."""
    ours = PROJECT["project"]
    lines = [*ours["dependencies"], *(line for extra in extras for line in ours["optional-dependencies"][extra])]
    waiting = [Requirement(line) for line in lines]
    found: dict[str, set[str]] = {}
    while waiting:
        need = waiting.pop()
        name = canonicalize_name(need.name)
        if name not in found or not need.extras <= found[name]:
            found[name] = need.extras | found.get(name, set())
            needed = [Requirement(line) for line in distribution(need.name).requires or []]
            waiting += [one for one in needed if one.marker is None or any(one.marker.evaluate({"extra": e}) for e in {"", *need.extras})]
    return set(found)


def test_the_api_image_has_nothing_that_trains() -> None:
    build = STAGES["build-api"].last("RUN")

    assert '".[api,postgres]"' in build
    assert packages_of(["api", "postgres"]) & HEAVY == set()


@pytest.mark.parametrize("target", ["api", "worker"])
def test_an_image_has_a_user_without_rights_and_can_be_asked_how_it_is(target: str) -> None:
    stage = STAGES[target]

    assert stage.last("USER") == "counterweight"
    assert stage.command("ENTRYPOINT") == ["counterweight"]
    assert stage.command("HEALTHCHECK")[:3] == ["python", "-P", "-m"]


def test_a_build_is_sent_what_is_installed_and_no_more() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}

    assert kept == PACKAGES | {"pyproject.toml", "constraints.txt", "README.md", "LICENSE"}
    assert all((ROOT / name).exists() for name in kept)


def test_every_file_of_a_package_is_installed() -> None:
    """Python files are; others only when `package-data` names them, which an editable install never notices."""
    declared = PROJECT["tool"]["setuptools"]["package-data"].items()
    shipped = {path for package, names in declared for name in names for path in ROOT.joinpath(*package.split(".")).glob(name)}
    tracked = subprocess.run(["git", "ls-files", *PACKAGES], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()

    assert [name for name in tracked if not name.endswith(".py") and ROOT / name not in shipped] == []


def test_compose_builds_what_the_dockerfile_has() -> None:
    built = {name: service["build"]["target"] for name, service in SERVICES.items() if "build" in service}

    assert built == {"migrate": "api", "api": "api", "worker": "worker", "worker-gpu": "worker"}
    assert set(built.values()) <= STAGES.keys()


def test_every_variable_of_ours_is_a_setting() -> None:
    known = {f"COUNTERWEIGHT_{name.upper()}" for name in ServerSettings.model_fields}
    named = set(re.findall(r"COUNTERWEIGHT_\w+", json.dumps(COMPOSE) + (ROOT / "Dockerfile").read_text()))

    assert named - known == set()


def test_nothing_starts_before_what_it_needs() -> None:
    ready = {"postgres": {"condition": "service_healthy"}}

    assert "healthcheck" in SERVICES["postgres"]
    assert (SERVICES["migrate"]["depends_on"], SERVICES["migrate"]["restart"]) == (ready, "no")
    for name in OURS:
        assert SERVICES[name]["depends_on"] == ready | {"migrate": {"condition": "service_completed_successfully"}}
        assert SERVICES[name]["restart"] == "unless-stopped"
    assert SERVICES["worker-gpu"]["profiles"] == ["gpu"]


def test_the_files_folder_is_one_volume_that_the_user_may_write_to() -> None:
    for name in OURS:
        folder = SERVICES[name]["environment"]["COUNTERWEIGHT_FILES_URL"].removeprefix("file://")
        assert SERVICES[name]["volumes"] == [f"files:{folder}"]
        # A new volume takes over the owner of the folder that the image has in its place.
        assert folder in STAGES["base"].last("RUN")
    assert COMPOSE["volumes"].keys() == {"files", "postgres"}


def test_compose_asks_for_the_first_key() -> None:
    with pytest.raises(NotGiven, match="COUNTERWEIGHT_BOOTSTRAP_KEY"):
        environment_of("api", {})

    assert environment_of("api", {"COUNTERWEIGHT_BOOTSTRAP_KEY": "k"})["COUNTERWEIGHT_BOOTSTRAP_KEY"] == "k"

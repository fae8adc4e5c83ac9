"""What `counterweight doctor` tells, and what it keeps to itself."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.client.conftest import BINARY, CommandLine


def examined(folder: Path, **settings: str) -> tuple[dict[str, dict[str, Any]], "subprocess.CompletedProcess[str]"]:
    ended = CommandLine("http://127.0.0.1:9", folder).run("doctor", "-o", "json", **settings)
    assert ended.returncode == 0, ended.stderr
    return {setting["name"]: setting for setting in json.loads(ended.stdout)}, ended


def test_each_setting_is_told_with_its_source(tmp_path: Path) -> None:
    found, _ = examined(tmp_path, lease_s="12", files_url="", max_cohort="4")

    assert (found["COUNTERWEIGHT_MAX_COHORT"]["value"], found["COUNTERWEIGHT_MAX_COHORT"]["source"]) == ("4", "environment")
    assert (found["COUNTERWEIGHT_LEASE_S"]["value"], found["COUNTERWEIGHT_LEASE_S"]["source"]) == ("12.0", "environment")
    assert found["COUNTERWEIGHT_URL"]["source"] == "environment"
    assert found["COUNTERWEIGHT_FILES_URL"]["value"] == f"file://{tmp_path}/.counterweight/files"
    assert found["COUNTERWEIGHT_FILES_URL"]["source"] == "default"
    assert found["COUNTERWEIGHT_DATABASE_URL"]["value"] == f"sqlite:///{tmp_path}/.counterweight/counterweight.db"
    assert found["COUNTERWEIGHT_API_KEY"]["value"] is None


def test_no_secret_is_told(tmp_path: Path) -> None:
    secret = "s3cret-of-more-than-thirty-two-characters"
    url = f"postgresql+psycopg://me:{secret}@db:5432/record?password={secret}"

    found, ended = examined(tmp_path, database_url=url, bootstrap_key=secret, api_key=secret, api_kee=secret)

    assert secret not in ended.stdout + ended.stderr
    assert found["COUNTERWEIGHT_DATABASE_URL"]["value"].startswith("postgresql+psycopg://me:********@db:5432/record")


def test_a_misspelt_variable_is_told_with_the_one_meant(tmp_path: Path) -> None:
    _, ended = examined(tmp_path, databse_url="sqlite:///elsewhere.db")

    assert "COUNTERWEIGHT_DATABSE_URL is set, and is not a setting; did you mean COUNTERWEIGHT_DATABASE_URL?" in ended.stderr


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("BIND", "everywhere", "'everywhere' is not an address and a port"),
        ("MAX_COHORT", "0", "'0' is neither `auto` nor a whole number from 1 on"),
        ("MAX_COHORT", "many", "'many' is neither `auto` nor a whole number from 1 on"),
    ],
)
def test_a_setting_that_cannot_be_used_ends_with_2(tmp_path: Path, name: str, value: str, told: str) -> None:
    environment = {**os.environ, f"COUNTERWEIGHT_{name}": value}

    ended = subprocess.run([BINARY, "doctor"], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert ended.returncode == 2
    assert f"COUNTERWEIGHT_{name}: {told}" in ended.stderr
    assert len(ended.stderr.splitlines()) == 2

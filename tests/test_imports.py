"""Imports point one way, and each process loads only what it needs: proved in fresh interpreters."""

import subprocess
import sys

import pytest

RULES = {
    "counterweight.contracts.messages": ["service", "workers", "sqlalchemy", "fastapi", "torch", "duckdb", "httpx"],
    "counterweight.statistics.thresholds": ["service", "workers", "sqlalchemy", "fastapi", "torch", "duckdb", "pyarrow"],
    "counterweight.client": ["service", "workers", "sqlalchemy", "fastapi", "torch", "duckdb"],
    # `--help` and completion answer while a person types.
    "counterweight.cli": ["service", "workers", "httpx", "pydantic", "rich"],
    "service.domain.lifecycle": ["service.persistence", "service.api", "workers", "sqlalchemy", "fastapi", "torch", "duckdb"],
    "service.domain.submission": ["service.persistence", "service.api", "workers", "sqlalchemy", "fastapi", "torch", "duckdb"],
    "service.persistence.recording": ["service.api", "service.web", "workers", "fastapi", "torch", "duckdb"],
    # Templates are read when the first page is asked for: a service that nobody looks at starts without them.
    "service.api.app": ["jinja2", "workers", "torch", "duckdb", "pandas", "numpy", "pyarrow", "ray"],
    "service.supervisor": ["workers", "torch", "duckdb", "pandas", "numpy", "pyarrow", "ray"],
    "workers.agent": ["service.api", "fastapi", "torch", "duckdb", "pandas", "numpy", "pyarrow", "ray"],
    "workers.__main__": ["service.api", "fastapi", "torch", "duckdb", "pandas", "numpy", "pyarrow", "ray", "httpx", "rich"],
    # Ray is reached over HTTP: not even who sends jobs to it, or runs on it, imports it.
    "workers.backends.ray": ["service.api", "fastapi", "torch", "duckdb", "pandas", "numpy", "pyarrow", "ray"],
    "workers.backends.ray_driver": ["service.api", "fastapi", "torch", "duckdb", "pandas", "numpy", "pyarrow", "ray"],
    "workers.training.trainer": ["service", "sqlalchemy", "fastapi", "httpx", "duckdb", "pandas", "sklearn", "ray"],
    "workers.comparison": ["service", "sqlalchemy", "fastapi", "httpx", "torch", "duckdb", "pandas", "ray"],
    "workers.ingest.reader": ["service", "sqlalchemy", "fastapi", "httpx", "torch", "pandas", "ray"],
    # A fork of a process in which pyarrow or scikit-learn has started threads can hang.
    "workers.warm": ["service", "sqlalchemy", "fastapi", "pyarrow", "sklearn", "duckdb", "pandas", "ray", "sympy"],
}
A_TRAINING = """
import sys, tempfile
from pathlib import Path
import pyarrow.parquet, workers.warm
from tests.training.tables import make_task
from workers.training.trainer import run

before = set(sys.modules)
with tempfile.TemporaryDirectory() as folder:
    *_, last = run(make_task(Path(folder), [{"training": {"max_epochs": 1}}]), lambda _: False)
assert last.kind == "succeeded"
print("\\n".join(name for name in set(sys.modules) - before if name.startswith(("torch", "sympy", "workers", "counterweight"))))
"""


@pytest.mark.parametrize("module", RULES)
def test_a_room_imports_only_what_lies_below_it(module: str) -> None:
    script = f"import sys, {module}; print('\\n'.join(sys.modules))"

    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()

    forbidden = [name for name in loaded if any(name == rule or name.startswith(f"{rule}.") for rule in RULES[module])]
    assert forbidden == []


def test_a_training_imports_nothing_more() -> None:
    loaded = subprocess.run([sys.executable, "-c", A_TRAINING], capture_output=True, text=True, check=True).stdout.split()

    assert loaded == []

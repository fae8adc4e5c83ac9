"""At each point of a worker, of its trainers and of its readers, under load: what was acknowledged ends once, and nothing else is left."""

from pathlib import Path

from service.persistence.database import Database
from tests.faults.campaign import AGENT, CHILDREN, ERRORS, account, armed_target, fire, load, shots


def test_all_points_go_off_once_and_nothing_acknowledged_is_lost(database_url: str, database: Database, tmp_path: Path) -> None:
    _, *lanes = shots(seed=0)
    ledger = tmp_path / "ledger.jsonl"
    with armed_target(tmp_path, database_url, way=None) as target:
        with load(target.server, ledger, seed=0):
            fired = fire(target, tmp_path / "armed", lanes)
        found = account(target.server, database, ledger)

    assert fired == len(AGENT) + len(CHILDREN) + len([point for point, _ in ERRORS if not point.startswith("upload")])
    assert found["succeeded"] > 0

"""`python -m tests.faults`: every crash point with several seeds, then random kills under load, on each database there is."""

import argparse
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from service.persistence.database import Database
from tests import records
from tests.faults.campaign import account, armed_server, await_work, fire, kill_at_random, load, shots
from tests.server import Server


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000, help="random SIGKILLs, shared among the databases (default %(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="how often each crash point goes off on each database (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the random kills (default %(default)s)")
    arguments = parser.parse_args()
    kinds = records.available()
    for kind in kinds:
        for seed in range(arguments.seeds):
            print(f"{kind}, crash points, seed {seed}: {_points(kind, seed)}", flush=True)
    for number, kind in enumerate(kinds):
        kills = arguments.kills // len(kinds) + (number < arguments.kills % len(kinds))
        print(f"{kind}, {kills} random kills: {_kills(kind, kills, arguments.seed)}", flush=True)
    return 0


def _points(kind: str, seed: int) -> str:
    with _server(kind) as (server, database, folder):
        with load(server, folder / "ledger.jsonl", seed):
            fired = fire(server, folder / "armed", shots(seed))
        return _told(fired, account(server, database, folder / "ledger.jsonl"))


def _kills(kind: str, kills: int, seed: int) -> str:
    source, killed = random.Random(seed), Counter[str]()
    with _server(kind) as (server, database, folder):
        with load(server, folder / "ledger.jsonl", seed):
            for _ in range(kills):
                await_work(server, source)
                killed[kill_at_random(server, source)] += 1
        return _told(killed.total(), account(server, database, folder / "ledger.jsonl")) + f" ({dict(killed)})"


def _told(kills: int, found: Counter[str]) -> str:
    return f"{kills} went off, nothing lost, doubled, torn or stuck; {dict(found)}"


@contextmanager
def _server(kind: str) -> Iterator[tuple[Server, Database, Path]]:
    with (
        tempfile.TemporaryDirectory() as name,
        records.fresh(kind, Path(name)) as url,
        closing(Database(url)) as database,
        armed_server(Path(name), url) as server,
    ):
        yield server, database, Path(name)


if __name__ == "__main__":
    sys.exit(main())

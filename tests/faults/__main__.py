"""`python -m tests.faults`: crash points, a database away, cut connections and random kills under load, on each database there is."""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path

from service.persistence.database import Database
from tests import records
from tests.faults.campaign import (
    LEASE_S,
    PATIENT_LEASE_S,
    Target,
    account,
    armed_target,
    await_training,
    await_work,
    cut_commits,
    fire,
    kill_at_random,
    load,
    lost_for_silence,
    shots,
)
from tests.faults.proxy import Proxy, outage


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__, epilog="0 leaves a part out.")
    parser.add_argument("--kills", type=int, default=1000, help="random SIGKILLs, shared among the databases (default %(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="how often each crash point goes off on each database (default %(default)s)")
    parser.add_argument("--outage", type=float, default=60, help="seconds for which the database is away (default %(default)s)")
    parser.add_argument("--cuts", type=int, default=200, help="connections to PostgreSQL that end in a commit (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the random kills (default %(default)s)")
    arguments = parser.parse_args()
    kinds = records.available()
    for kind in kinds:
        for seed in range(arguments.seeds):
            print(f"{kind}, crash points, seed {seed}: {_points(kind, seed)}", flush=True)
    for kind in kinds:
        if arguments.outage:
            print(f"{kind}, away for {arguments.outage:g} s: {_outage(kind, arguments.outage)}", flush=True)
        if arguments.cuts:
            print(f"{kind}, connections cut in a commit: {_commits(kind, arguments.cuts, arguments.seed)}", flush=True)
    with ProcessPoolExecutor() as side_by_side:
        shares = [arguments.kills // len(kinds) + (number < arguments.kills % len(kinds)) for number in range(len(kinds))]
        done = [side_by_side.submit(_kills, kind, kills, arguments.seed) for kind, kills in zip(kinds, shares, strict=True) if kills]
        for one in as_completed(done):
            print(one.exception() or one.result(), flush=True)
    return 1 if any(one.exception() for one in done) else 0


def _points(kind: str, seed: int) -> str:
    with _target(kind) as (target, database, folder):
        with load(target.server, folder / "ledger.jsonl", seed):
            fired = fire(target, folder / "armed", shots(seed))
        return _told(fired, account(target.server, database, folder / "ledger.jsonl"))


def _kills(kind: str, kills: int, seed: int) -> str:
    source, killed = random.Random(seed), Counter[str]()
    with _target(kind) as (target, database, folder):
        with load(target.server, folder / "ledger.jsonl", seed):
            for _ in range(kills):
                await_work(target, source)
                killed[kill_at_random(target, source)] += 1
        found = account(target.server, database, folder / "ledger.jsonl")
        return f"{kind}, random kills: {_told(killed.total(), found)} ({dict(killed)})"


def _outage(kind: str, seconds: float) -> str:
    with _target(kind, PATIENT_LEASE_S) as (target, database, folder):
        with load(target.server, folder / "ledger.jsonl", seed=0):
            await_training(target.server)
            with outage(database, [target.way] if target.way else []):
                time.sleep(seconds)
        found = account(target.server, database, folder / "ledger.jsonl")
        assert lost_for_silence(database) == 0
        return f"nothing lost, doubled, torn, stuck or queued again; {dict(found)}"


def _commits(kind: str, cuts: int, seed: int) -> str:
    with _target(kind) as (target, database, folder):
        if target.way is None:
            return "no connection to be cut"
        with load(target.server, folder / "ledger.jsonl", seed):
            cut = cut_commits(target.way, cuts, random.Random(seed))
        return _told(cut, account(target.server, database, folder / "ledger.jsonl"))


def _told(kills: int, found: Counter[str]) -> str:
    return f"{kills} went off, nothing lost, doubled, torn or stuck; {dict(found)}"


@contextmanager
def _target(kind: str, lease_s: float = LEASE_S) -> Iterator[tuple[Target, Database, Path]]:
    with (
        tempfile.TemporaryDirectory() as name,
        records.fresh(kind, Path(name)) as url,
        closing(Database(url)) as database,
        nullcontext() if kind == "sqlite" else Proxy(url) as way,
        armed_target(Path(name), url, way, lease_s) as target,
    ):
        yield target, database, Path(name)


if __name__ == "__main__":
    sys.exit(main())

"""How many jobs are trained together: as many as a processor's cache or a GPU's memory is best used by, and memory allows."""

from pathlib import Path
from typing import Any

import pytest

from counterweight.contracts.datasets import ClassShare, Column, TableFacts
from counterweight.settings import ServerSettings
from service.domain.cohorts import MOST_ON_CPU, MOST_ON_GPU, even_share, pack_size
from tests.training.tables import make_spec
from workers import devices
from workers.devices import Slot

GB = 10**9


def _facts(rows: int = 30_000, numbers: int = 10, classes: int = 2) -> TableFacts:
    share = [ClassShare(label=str(label), count=rows // classes, fraction=1 / classes) for label in range(classes)]
    columns = [Column(name=f"x{index}", type="numeric", missing=0, distinct=rows) for index in range(numbers)]
    return TableFacts(format="csv", rows=rows, columns=columns, target="event", positive_label=None, classes=share)


def _on_cpu(learner: dict[str, Any], batch: int, memory_bytes: int | None = None, **facts: int) -> int:
    spec = make_spec(learner=learner, training={"batch_size": batch})
    return pack_size(spec, _facts(**facts), on_gpu=False, memory_bytes=memory_bytes)


@pytest.mark.parametrize(
    ("width", "batch", "pack"),
    [(64, 64, 32), (64, 256, 32), (128, 256, 32), (64, 1024, 16), (256, 256, 16), (128, 1024, 8), (256, 1024, 4)],
)
def test_a_layer_of_all_members_fits_a_processors_cache(width: int, batch: int, pack: int) -> None:
    assert _on_cpu({"kind": "mlp", "width": width}, batch) == pack


def test_a_pack_has_two_at_least_and_is_bounded() -> None:
    assert _on_cpu({"kind": "mlp", "width": 4096}, 65_536) == 2
    assert _on_cpu({"kind": "mlp", "width": 1}, 1) == MOST_ON_CPU


def test_a_linear_learner_is_as_wide_as_its_inputs_or_its_classes() -> None:
    assert _on_cpu({"kind": "linear"}, 512, numbers=128) == 16
    assert _on_cpu({"kind": "linear"}, 512, numbers=3, classes=128) == 16


def test_a_batch_is_no_larger_than_the_table() -> None:
    assert _on_cpu({"kind": "mlp", "width": 128}, 65_536, rows=512) == 16


def test_large_networks_are_packed_by_memory() -> None:
    large = {"kind": "mlp", "width": 4096, "depth": 8}

    assert _on_cpu(large, 32, memory_bytes=100 * GB) == 8
    assert _on_cpu(large, 32, memory_bytes=16 * GB) == 2
    assert _on_cpu(large, 32, memory_bytes=4 * GB) == 1


def test_a_gpu_is_packed_by_memory_alone() -> None:
    spec, small, large = make_spec(training={"batch_size": 1024}), _facts(), _facts(rows=5_000_000, numbers=100)

    assert pack_size(spec, small, on_gpu=True, memory_bytes=80 * GB) == MOST_ON_GPU
    assert pack_size(spec, large, on_gpu=True, memory_bytes=10 * GB) < MOST_ON_GPU
    assert pack_size(spec, small, on_gpu=True, memory_bytes=None) == 1


@pytest.mark.parametrize(
    ("waiting", "most", "slots", "share"),
    [(40, 32, 2, 20), (40, 16, 2, 10), (40, 16, 1, 14), (33, 32, 1, 17), (5, 32, 2, 3), (1, 32, 8, 1), (1000, 1, 2, 1)],
)
def test_jobs_are_dealt_in_few_rounds_of_even_stacks(waiting: int, most: int, slots: int, share: int) -> None:
    assert even_share(waiting, most, slots) == share


def test_a_job_has_each_gpu_once_however_many_slots_share_it() -> None:
    shared = [Slot(device, 1) for device in ("cuda:0", "cuda:1", "cuda:0", "cuda:1")]

    assert devices.apart(shared, [0, 1, 2, 3]) == [0, 1]
    assert devices.apart(shared, [1, 2, 3]) == [1, 2]
    assert devices.apart([Slot("cpu", 1)] * 3, [0, 2]) == [0, 2]


def test_slots_share_the_hosts_memory_and_the_containers_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(devices, "CONTAINER_LIMIT", limit)
    settings = ServerSettings(devices="cpu", workers=2)

    unlimited = devices.slots(settings)[0].memory_bytes
    limit.write_text(f"{4 * 2**20}\n")
    limited = devices.slots(settings)[0].memory_bytes
    limit.write_text("max\n")

    assert limited == 2 * 2**20
    assert devices.slots(settings)[0].memory_bytes == unlimited
    assert (unlimited or 0) > 2 * 2**20

"""Products of float32 matrices."""

from collections.abc import Iterator

import pytest
import torch

from workers.training import products


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    before = products.ONEDNN.fp32_precision
    yield
    products.ONEDNN.fp32_precision = before


def test_products_stay_float32() -> None:
    products.use_widest_products()

    left, right = (torch.randn(3, 256, 256, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    exact = torch.bmm(left.double(), right.double())
    # bfloat16 would be off by 0.1; float32 rounds each of 256 sums of about 16 by 2^-24 of it.
    torch.testing.assert_close(torch.bmm(left, right).double(), exact, rtol=0, atol=1e-4)


def test_a_processor_whose_onednn_would_round_keeps_its_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_f": True, "amx_bf16": False})
    monkeypatch.setattr(products, "_is_float32", lambda: False)
    before = products.ONEDNN.fp32_precision

    products.use_widest_products()

    assert products.ONEDNN.fp32_precision == before


@pytest.mark.parametrize("able", [{"avx512_f": True, "amx_bf16": True}, {"avx512_f": False}, {}])
def test_with_amx_or_without_avx512_nothing_is_changed(monkeypatch: pytest.MonkeyPatch, able: dict[str, bool]) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    before = products.ONEDNN.fp32_precision

    products.use_widest_products()

    assert products.ONEDNN.fp32_precision == before


def test_a_gpu_multiplies_by_its_tensor_cores_and_a_processor_as_before() -> None:
    fine, one = torch.full((64, 64), 1 + 2**-12), torch.eye(64)
    before = torch.backends.cuda.matmul.fp32_precision, products.CONVOLUTIONS.fp32_precision
    try:
        products.use_tensor_cores()

        assert torch.backends.cuda.matmul.fp32_precision == products.CONVOLUTIONS.fp32_precision == "tf32"
        assert torch.equal(fine @ one, fine)
    finally:
        torch.backends.cuda.matmul.fp32_precision, products.CONVOLUTIONS.fp32_precision = before

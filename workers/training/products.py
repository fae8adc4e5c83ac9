"""How matrices of float32 are multiplied."""

from typing import Any

import torch

ONEDNN: Any = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]  # The module is exchanged for an object that has it.
CONVOLUTIONS: Any = torch.backends.cudnn.conv  # type: ignore[attr-defined]  # As above.
_FINE = 1 + 2**-12
"""A number that float32 holds and bfloat16 rounds."""


def use_widest_products() -> None:
    """Let oneDNN multiply float32 matrices where it does so exactly and with wider registers than MKL, torch's usual way.

    MKL uses AVX-512 on Intel's processors alone: elsewhere oneDNN is twice as fast. Torch asks it only when the setting allows it
    bfloat16 inside, which it has for the tiles of AMX and not for AVX-512: without AMX its products are those of float32, and that is
    tried here and not believed.
    """
    able = torch.cpu.get_capabilities()
    if not able.get("avx512_f") or able.get("amx_bf16"):
        return
    before = ONEDNN.fp32_precision
    ONEDNN.fp32_precision = "bf16"
    if not _is_float32():
        ONEDNN.fp32_precision = before


def use_tensor_cores() -> None:
    """Let a GPU multiply float32 by TF32: eight bits of exponent and ten of fraction, several times as fast. Losses multiply nothing."""
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    CONVOLUTIONS.fp32_precision = "tf32"


def _is_float32() -> bool:
    fine, one = torch.full((256, 256), _FINE), torch.eye(256)
    return torch.equal(fine @ one, fine) and torch.equal(torch.bmm(fine[None], one[None])[0], fine)

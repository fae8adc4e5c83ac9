"""In which numbers a network is multiplied while it trains."""

from typing import Literal

import torch

from counterweight.contracts.jobs import Precision

SMALLEST_BATCH_ON_TILES = 256
"""On a processor smaller batches gain less by bfloat16 than rounding the weights of each step costs (docs/benchmarks.md)."""


def precision_of(asked: Literal["auto"] | Precision, device: torch.device, batch_size: int) -> Precision:
    """Return what was asked for; left to us, bfloat16 where the device multiplies batches of so many rows faster by it than by float32."""
    if asked != "auto":
        return asked
    is_long = device.type == "cuda" or batch_size >= SMALLEST_BATCH_ON_TILES
    return "bfloat16" if is_long and is_bfloat16_fast(device) else "float32"


def note_on_slow(asked: Literal["auto"] | Precision, device: torch.device) -> str | None:
    """Return what an owner should know who asked for bfloat16 where it gains nothing."""
    if asked != "bfloat16" or is_bfloat16_fast(device):
        return None
    return (
        f"bfloat16 was asked for, and this {device.type} is not known to multiply it faster than float32 (processors with AMX do, and GPUs "
        "from Ampere on): the network is rounded for no gain in speed"
    )


def is_bfloat16_fast(device: torch.device) -> bool:
    """Whether there are units for it: the tiles of AMX in a processor, tensor cores in a GPU."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu.get_capabilities().get("amx_bf16"))

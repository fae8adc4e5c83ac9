"""What the fork server imports before it starts trainers. It imports and nothing else: no tensor operation, no CUDA call."""

import torch._dynamo  # noqa: F401  The first optimiser step would import it, for about a second.

import workers.training.trainer  # noqa: F401

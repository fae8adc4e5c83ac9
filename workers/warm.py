"""What the fork server imports before it starts trainers. It imports and nothing else: no tensor operation, no CUDA call.

pyarrow is left to the trainer itself: it starts threads, which a fork does not carry over.
"""

import counterweight.contracts.messages  # noqa: F401
import workers.pipe
import workers.training.evaluation
import workers.training.loop  # noqa: F401

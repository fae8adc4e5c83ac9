"""How large a residual network is, reckoned from its settings."""

from collections.abc import Iterator

from counterweight.contracts.learners import Resnet

STAGES = 3
KEPT = 5
"""What training keeps of each number a layer puts out: the convolution's, the norm's and the ReLU's, and two of their gradients."""


def parameters(learner: Resnet, classes: int) -> int:
    """Return how many numbers one network has: kernels, four for each channel of a norm, and the head."""
    layers = sum(9 * before * after + 4 * after for before, after, _ in _layers(learner))
    return layers + (4 * learner.width + 1) * classes


def activations(learner: Resnet, side: int) -> int:
    """Return how many numbers one image takes in training, over all layers."""
    return KEPT * sum(after * (side // shrunk) ** 2 for _, after, shrunk in _layers(learner))


def widest(learner: Resnet, side: int) -> int:
    """Return how many numbers one image is in the widest layer."""
    return learner.width * side**2


def _layers(learner: Resnet) -> Iterator[tuple[int, int, int]]:
    """Yield channels before and after each convolution, and how many times smaller than the image what comes out is."""
    yield 3, learner.width, 1
    before = learner.width
    for stage in range(STAGES):
        for _ in range((learner.depth - 2) // STAGES):
            after = learner.width << stage
            yield before, after, 1 << stage
            before = after

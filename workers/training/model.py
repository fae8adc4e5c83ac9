"""A trained model: everything needed to turn rows of a table into probabilities, in memory or in a folder."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save
from torch import Tensor

from counterweight.contracts.base import View
from counterweight.contracts.evaluation import ThresholdChoice
from counterweight.contracts.messages import StoredFile
from counterweight.contracts.terms import LossTerms
from workers.training import calibrators
from workers.training.calibrators import Calibrator
from workers.training.correction import Base, log_probabilities
from workers.training.encoding import Encoding
from workers.training.files import store
from workers.training.loop import all_logits
from workers.training.networks import Pieces, Shape

WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"
FORMAT = 1


class ShapeDescription(View):
    """The network's shape, as `networks.Shape` has it."""

    inputs: int
    classes: int
    hidden: tuple[int, ...]
    dropout: float
    pieces: int
    cosine: bool = False


class TermsDescription(View):
    """The loss's terms, as `contracts.terms.LossTerms` has them; undoing the loss needs them."""

    weights: tuple[float, ...]
    shift: tuple[float, ...]
    margin: tuple[float, ...]
    scale: float
    gamma: float
    epsilon: float
    smoothing: float


class ModelDescription(View):
    """What `model.json` holds."""

    format: int = FORMAT
    target: str
    classes: tuple[str, ...]
    positive_label: str | None
    network: ShapeDescription
    terms: TermsDescription
    base: Base
    calibrator: Calibrator
    threshold: ThresholdChoice
    encoding: Encoding
    best_epoch: int
    notes: list[str]


@dataclass(frozen=True)
class Model:
    """A description and its parameters (1, P)."""

    description: ModelDescription
    parameters: Tensor

    def log_probabilities(self, table: pa.Table) -> NDArray[np.float64]:
        """Return the log-probabilities (rows, classes) of a table that has the feature columns."""
        encoding = self.description.encoding
        shape = Shape(**dict(self.description.network))
        features = torch.from_numpy(encoding.encode(table))
        logits = all_logits(shape, self.parameters, features, Pieces.of(encoding.edges))[0].double().numpy()
        terms = LossTerms(**dict(self.description.terms))
        return calibrators.apply(self.description.calibrator, log_probabilities(logits, terms, self.description.base))


def describe_shape(shape: Shape) -> ShapeDescription:
    return ShapeDescription(**asdict(shape))


def describe_terms(terms: LossTerms) -> TermsDescription:
    return TermsDescription(**asdict(terms))


def export_model(model: Model, folder: Path) -> list[StoredFile]:
    """Write the model's two files, whole and on the disk; no pickle, so that loading a model runs no code of its maker."""
    shape = Shape(**dict(model.description.network))
    weights = {name: block[0].cpu().contiguous() for name, block in shape.views(model.parameters).items()}
    contents = {
        WEIGHTS: save(weights, metadata={"format": str(FORMAT)}),
        DESCRIPTION: model.description.model_dump_json(indent=1).encode(),
    }
    return store(contents, folder)


def load_model(folder: Path) -> Model:
    """Read what `export_model` wrote."""
    description = ModelDescription.model_validate_json((folder / DESCRIPTION).read_bytes())
    shape = Shape(**dict(description.network))
    parameters = torch.zeros(1, shape.parameters)
    weights = load_file(folder / WEIGHTS)
    for name, view in shape.views(parameters).items():
        view[0].copy_(weights[name])
    return Model(description, parameters)

"""A trained model: everything needed to turn rows of a table into probabilities, in memory or in a folder."""

import json
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
from workers.training.architectures import AnyEncoding, AnyNetwork
from workers.training.calibrators import Calibrator
from workers.training.correction import Base, log_probabilities
from workers.training.deciding import decide
from workers.training.files import store
from workers.training.forward import all_logits
from workers.training.image_encoding import ImageEncoding

WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"
FORMAT = 2
"""Raised when the names, shapes or meaning of what the files hold change: numbers read in another sense would be wrong without a word."""


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
    network: AnyNetwork
    terms: TermsDescription
    base: Base
    calibrator: Calibrator
    threshold: ThresholdChoice
    encoding: AnyEncoding
    best_epoch: int
    notes: list[str]


@dataclass(frozen=True)
class Model:
    """A description and its parameters (1, P)."""

    description: ModelDescription
    parameters: Tensor

    def log_probabilities(self, rows: pa.Table | Tensor) -> NDArray[np.float64]:
        """Return the log-probabilities (rows, classes) of a table that has the feature columns, or of pixels (rows, 3, side, side)."""
        encoding = self.description.encoding
        if isinstance(rows, Tensor) != isinstance(encoding, ImageEncoding):
            raise TypeError(f"the model takes {'pixels' if isinstance(encoding, ImageEncoding) else 'a table'}")
        features = rows if isinstance(encoding, ImageEncoding) else torch.from_numpy(encoding.encode(rows))
        logits = all_logits(self.description.network, self.parameters, features)[0].double().numpy()
        terms = LossTerms(**dict(self.description.terms))
        return calibrators.apply(self.description.calibrator, log_probabilities(logits, terms, self.description.base))

    def decisions(self, log_p: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the class that rows with these log-probabilities are called, by the threshold or the offsets that were chosen."""
        about = self.description
        positive = None if about.positive_label is None else about.classes.index(about.positive_label)
        return decide(log_p, about.threshold, about.classes, positive)


def describe_terms(terms: LossTerms) -> TermsDescription:
    return TermsDescription(**asdict(terms))


def export_model(model: Model, folder: Path) -> list[StoredFile]:
    """Write the model's two files, whole and on the disk; no pickle, so that loading a model runs no code of its maker."""
    blocks = model.description.network.views(model.parameters)
    weights = {name: block[0].cpu().contiguous() for name, block in blocks.items()}
    contents = {
        WEIGHTS: save(weights, metadata={"format": str(FORMAT)}),
        DESCRIPTION: model.description.model_dump_json(indent=1).encode(),
    }
    return store(contents, folder)


def load_model(folder: Path) -> Model:
    """Read what `export_model` wrote; ValueError for a model of another format."""
    found = json.loads((folder / DESCRIPTION).read_bytes())
    if found.get("format") != FORMAT:
        message = f"{folder / DESCRIPTION} has format {found.get('format')} and this version reads {FORMAT}: train the job again (retry)"
        raise ValueError(f"{message}, or load it with the version that wrote it")
    description = ModelDescription.model_validate(found)
    parameters = torch.zeros(1, description.network.parameters)
    weights = load_file(folder / WEIGHTS)
    for name, view in description.network.views(parameters).items():
        view[0].copy_(weights[name])
    return Model(description, parameters)

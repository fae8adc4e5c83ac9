"""The learners a user can choose."""

from typing import Annotated, Literal

from pydantic import Field

from counterweight.contracts.base import Request

NumericEmbedding = Literal["none", "piecewise_linear", "piecewise_linear_target"]
"""How numbers enter beside their scaled value: not at all, or by pieces, each with equally many rows or cut where the classes part."""


class Linear(Request):
    """Logistic regression over the encoded columns."""

    kind: Literal["linear"] = "linear"


class Mlp(Request):
    """A multilayer perceptron: `depth` hidden layers of `width` units.

    `numeric_embedding` adds a piecewise-linear embedding of the numeric columns beside their scaled values, with pieces of equally many
    rows or (`…_target`) cut where the classes part; `auto` tries these and none on the validation rows.
    """

    kind: Literal["mlp"] = "mlp"
    width: int = Field(default=128, ge=1, le=4096)
    depth: int = Field(default=2, ge=1, le=8)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    numeric_embedding: Literal["auto"] | NumericEmbedding = "auto"


class Tabm(Request):
    """Many perceptrons in one: `members` share their weights, differ by factors on inputs and outputs, and predict their mean.

    Gorishniy et al., 2024, arXiv:2410.24210. The rest is as `mlp` has it.
    """

    kind: Literal["tabm"] = "tabm"
    members: int = Field(default=16, ge=2, le=64)
    width: int = Field(default=128, ge=1, le=4096)
    depth: int = Field(default=2, ge=1, le=8)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    numeric_embedding: Literal["auto"] | NumericEmbedding = "auto"


class Resnet(Request):
    """A residual network of `depth` layers for small images, its first stage `width` channels wide.

    While training, images are moved by up to an eighth of their side (`crop`) and mirrored (`flip`), unless `augmentation` says
    otherwise: leave mirroring out where left and right mean something, as in writing.
    """

    kind: Literal["resnet"] = "resnet"
    depth: Literal[20, 32] = 20
    width: int = Field(default=16, ge=4, le=128)
    augmentation: Literal["crop_flip", "crop", "none"] = "crop_flip"


class Auto(Request):
    """The learner that suits the data; a concrete one is stored with the job when it is submitted."""

    kind: Literal["auto"] = "auto"


ConcreteLearner = Annotated[Linear | Mlp | Tabm | Resnet, Field(discriminator="kind")]
Learner = Annotated[Auto | Linear | Mlp | Tabm | Resnet, Field(discriminator="kind")]

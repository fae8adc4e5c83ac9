"""The learners a user can choose."""

from typing import Annotated, Literal

from pydantic import Field

from counterweight.contracts.base import Request


class Linear(Request):
    """Logistic regression over the encoded columns."""

    kind: Literal["linear"] = "linear"


class Mlp(Request):
    """A multilayer perceptron: `depth` hidden layers of `width` units.

    `numeric_embedding` adds a piecewise-linear embedding of the numeric columns beside their scaled values; `auto` is a choice
    that training makes.
    """

    kind: Literal["mlp"] = "mlp"
    width: int = Field(default=128, ge=1, le=4096)
    depth: int = Field(default=2, ge=1, le=8)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    numeric_embedding: Literal["auto", "none", "piecewise_linear"] = "auto"


class Auto(Request):
    """The learner that suits the data; a concrete one is stored with the job when it is submitted."""

    kind: Literal["auto"] = "auto"


ConcreteLearner = Annotated[Linear | Mlp, Field(discriminator="kind")]
Learner = Annotated[Auto | Linear | Mlp, Field(discriminator="kind")]

"""The routes of losses: what there is, what one comes to on a dataset, and how it looks."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, Query

from counterweight.contracts.loss_catalogue import LossCard, catalogue
from counterweight.contracts.loss_curves import LossCurve, loss_curve
from counterweight.contracts.loss_resolution import LossAnswer, LossQuestion
from counterweight.contracts.losses import LOSS_KINDS, AnyLoss, LossKind
from counterweight.contracts.pages import Page
from counterweight.contracts.terms import LossMismatch
from service.api.bodies import StrictRoute, validated
from service.api.dependencies import Reader, ReadSession
from service.api.problems import declared, wrong_field
from service.domain import submission
from service.domain.errors import Invalid
from service.domain.submission import DatasetChoices
from service.persistence import datasets

router = APIRouter(prefix="/losses", tags=["losses"], route_class=StrictRoute)

EXAMPLES: dict[str, Any] = {
    kind: {"summary": card.title, "value": {"dataset_id": "ds_01ARZ3NDEKTSV4RRFFQ69G5FAV", "loss": card.defaults.model_dump(mode="json")}}
    for card in catalogue()
    for kind in [card.kind]
}


def asked_loss(
    kind: LossKind,
    label_smoothing: Annotated[float | None, Query(description="Of `cross_entropy`.")] = None,
    weights: Annotated[
        Literal["inverse_frequency", "sqrt_inverse_frequency", "effective_number"] | None, Query(description="Of `balanced_cross_entropy`.")
    ] = None,
    beta: Annotated[float | None, Query(description="Of `balanced_cross_entropy` by effective number.")] = None,
    gamma: Annotated[float | None, Query(description="Of `focal` and `poly`.")] = None,
    alpha: Annotated[float | Literal["balanced"] | None, Query(description="Of `focal`: the positive class's, or `balanced`.")] = None,
    tau: Annotated[float | None, Query(description="Of `logit_adjusted`.")] = None,
    max_margin: Annotated[float | None, Query(description="Of `ldam`.")] = None,
    scale: Annotated[float | None, Query(description="Of `ldam`.")] = None,
    epsilon: Annotated[float | None, Query(description="Of `poly`.")] = None,
) -> AnyLoss:
    """Return the loss that the query describes; Invalid for a parameter that is not the kind's, or out of its range."""
    given = {
        "label_smoothing": label_smoothing,
        "weights": weights,
        "beta": beta,
        "gamma": gamma,
        "alpha": alpha,
        "tau": tau,
        "max_margin": max_margin,
        "scale": scale,
        "epsilon": epsilon,
    }
    return validated(LOSS_KINDS[kind], {name: value for name, value in given.items() if value is not None})


@router.get("", operation_id="losses_list", responses=declared())
def list_losses(_caller: Reader) -> Page[LossCard]:
    """List the losses there are: formula, parameters, when to use each and when not."""
    return Page(data=catalogue())


@router.post("/resolve", operation_id="losses_resolve", responses=declared(404, 409, 413, 415))
def resolve_loss(question: Annotated[LossQuestion, Body(openapi_examples=EXAMPLES)], caller: Reader, session: ReadSession) -> LossAnswer:
    """Tell what a loss comes to on a dataset: weights, shifts and margins by class, what to know, and the first loss to expect.

    It counts the training rows of `split`, the default one when left out: a job with this split gets the same numbers. What groups or
    times make of the classes is known when a job has divided the rows; the numbers are then an estimate, and a note says so.
    """
    dataset = datasets.ready(datasets.get(session, caller.project_id, question.dataset_id))
    return submission.answer(question, datasets.facts(dataset), DatasetChoices.of(dataset.name, dataset.options))


@router.get("/curve", operation_id="losses_curve", responses=declared())
def get_curve(
    _caller: Reader,
    loss: Annotated[AnyLoss, Depends(asked_loss)],
    rows: Annotated[int, Query(ge=2, le=10**9, description="Training rows of two classes.")] = 10_000,
    positive_rows: Annotated[int, Query(ge=1, le=10**9, description="How many of them are of the positive class.")] = 1_000,
    points: Annotated[int, Query(ge=2, le=10_000, description="Values of p, evenly between 0 and 1.")] = 199,
) -> LossCurve:
    """Draw a loss of two classes against the probability p of the true class: its value, and its gradient by the logit of p."""
    if positive_rows >= rows:
        raise wrong_field("/positive_rows", "less_than", f"positive_rows must be under rows ({rows}): both classes need a row")
    try:
        return loss_curve(loss, rows, positive_rows, points)
    except LossMismatch as mismatch:
        raise Invalid.at(mismatch.pointer, "loss_mismatch", str(mismatch)) from mismatch

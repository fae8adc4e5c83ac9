"""The route that answers what a threshold does."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from counterweight.contracts.evaluation import OPERATING_POINTS_FILE, OperatingPoint
from service.api.bodies import StrictRoute
from service.api.dependencies import Reader, ReadSession, service_of
from service.api.problems import declared
from service.domain.errors import Invalid, NotFound
from service.domain.operating import Wish, policy_of
from service.persistence import jobs

router = APIRouter(prefix="/jobs", tags=["jobs"], route_class=StrictRoute)

Cost = Annotated[float | None, Query(gt=0, le=1e12, allow_inf_nan=False)]


@router.get("/{job_id}/operating-point", operation_id="jobs_operating_point", responses=declared(404))
def get_operating_point(
    request: Request,
    caller: Reader,
    session: ReadSession,
    job_id: str,
    min_precision: Annotated[float | None, Query(gt=0, lt=1, allow_inf_nan=False, description="As the policy `precision_floor`.")] = None,
    min_recall: Annotated[float | None, Query(gt=0, le=1, allow_inf_nan=False, description="As the policy `recall_floor`.")] = None,
    false_negative: Cost = None,
    false_positive: Cost = None,
    threshold: Annotated[float | None, Query(ge=0, le=1, allow_inf_nan=False, description="A calibrated probability.")] = None,
) -> OperatingPoint:
    """Choose a threshold on the validation rows, and get what it does there and on the test rows. Name exactly one way to choose."""
    # numpy takes as long to load as everything else here together, and an idle server can do without it.
    from counterweight.statistics.operating import operating_point, unpacked  # noqa: PLC0415

    policy = policy_of(Wish(min_precision, min_recall, false_negative, false_positive, threshold))
    job = jobs.get(session, caller.project_id, job_id)
    first, *more = jobs.evaluation(session, job).splits["test"].confusion.labels
    if len(more) != 1:
        raise Invalid(
            f"job {job.id} has {len(more) + 1} classes and no threshold: its decision is the likeliest class", code="several_classes"
        )
    path = jobs.artifact_path(session, job, OPERATING_POINTS_FILE)
    if path is None:
        raise NotFound(f"job {job.id} was evaluated before what thresholds do was kept; submit it again")
    labels, options = (first, more[0]), job.spec.evaluation
    positive = labels.index(options.positive_label or labels[1])
    return operating_point(unpacked(service_of(request).files.path(path)), policy, labels, positive, options.confidence)

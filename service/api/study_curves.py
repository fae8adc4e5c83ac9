"""The route of a study's curves."""

from fastapi import APIRouter

from counterweight.contracts.study_curves import StudyCurves
from service.api.bodies import StrictRoute
from service.api.dependencies import Reader, ReadSession
from service.api.histories import Names, Points, listed
from service.api.problems import declared
from service.persistence import studies, study_curves

router = APIRouter(prefix="/studies", tags=["studies"], route_class=StrictRoute)


@router.get("/{study_id}/metrics", operation_id="studies_metrics", responses=declared(404))
def get_curves(caller: Reader, session: ReadSession, study_id: str, names: Names = None, points: Points = 200) -> StudyCurves:
    """Get the metrics recorded while the study's jobs trained: by arm and epoch their mean, lowest, highest and number, in one answer."""
    study = studies.get(session, caller.project_id, study_id)
    return study_curves.read(session, study, listed(names), points)

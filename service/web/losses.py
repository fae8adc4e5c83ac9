"""The page that explains the losses."""

from fastapi import APIRouter, Depends, Request, Response

from counterweight.contracts.loss_catalogue import catalogue
from service.api.bodies import StrictRoute
from service.api.dependencies import needs
from service.web.templates import page

router = APIRouter(prefix="/ui/losses", route_class=StrictRoute, dependencies=[Depends(needs("read"))], include_in_schema=False)


@router.get("")
def show_losses(request: Request) -> Response:
    """What each loss does, and when to use it."""
    return page(request, "losses.html", losses=catalogue())

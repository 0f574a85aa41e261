"""What held an event loop, over HTTP: one by one, by cause, and what holds one just now."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.responses import Response

from offload.api import documents
from offload.api.background import BackgroundTask
from offload.api.filters import Name, check_once
from offload.api.options import Moment
from offload.api.problems import responses
from offload.api.routes.fleet import Paging
from offload.api.state import Given
from offload.documents.stalls import ClearedDocument, StallGroupList, StallKind, StallList
from offload.domain import views
from offload.domain.clock import to_ms
from offload.domain.filters import StallFilter

router = APIRouter(tags=["fleet"])


class StallListing(Paging):
    """Which stalls, and which page of them."""

    kind: StallKind | None = Field(None, description="Only stalls of this kind; `step` and `callback` blame somebody.")
    function: Name | None = Field(None, description="Only what jobs of this function held.")
    route: Name | None = Field(None, description="Only what this route held, by method and template.")
    worker: Name | None = Field(None, description="Only what held this worker.")
    job_id: Name | None = Field(None, description="Only what this job held.")
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")] | None = Field(
        None, description="Only stalls of this cause: the `fingerprint` of another."
    )
    after: Moment | None = Field(None, description="Only stalls that ended at this time or later (RFC 3339).")
    before: Moment | None = Field(None, description="Only stalls that ended before this time (RFC 3339).")

    def value(self) -> StallFilter:
        """Return the filter; raises InvalidOptions for what no stall can fit."""
        return StallFilter(
            kind=self.kind,
            function=self.function,
            route=self.route,
            worker=self.worker,
            job_id=self.job_id,
            fingerprint=self.fingerprint,
            after_ms=None if self.after is None else to_ms(self.after),
            before_ms=None if self.before is None else to_ms(self.before),
        )


@router.get(
    "/v1/stalls",
    operation_id="list_stalls",
    summary="List stalls",
    responses={200: {"model": StallList}, **responses.responses(422, 503)},
)
async def list_stalls(request: Request, given: Given, listing: Annotated[StallListing, Query()]) -> Response:
    """List what held an event loop for too long, newest first: job, function, source line, and what to do instead.

    The last 1,000 or so are kept. `ongoing` has what holds a loop just now; the times of a filter do not matter to it.
    """
    check_once(request)
    which = listing.value()
    items, following = await given.promptly(given.inspector.stalls(listing.limit, listing.cursor, which))
    ongoing = await given.promptly(given.inspector.ongoing_stalls(which))
    return documents.answer({"items": items, "ongoing": ongoing, "next": following})


@router.get(
    "/v1/stalls/groups",
    operation_id="list_stall_groups",
    summary="List causes of stalls",
    responses={200: {"model": StallGroupList}, **responses.responses(422, 503)},
)
async def list_stall_groups(request: Request, given: Given, paging: Annotated[Paging, Query()]) -> Response:
    """List what held event loops by cause, over the whole fleet: what took most time in all comes first.

    A cause is one line of code of one job function or route. The 500 that were met last are kept, each for 30 days
    after its last stall; one that is met while pages are read may be shown twice, or not.
    """
    check_once(request)
    items, following = await given.promptly(given.inspector.stall_groups(paging.limit, paging.cursor))
    return documents.answer({"items": [views.stall_group(one) for one in items], "next": following})


@router.delete(
    "/v1/stalls",
    operation_id="clear_stalls",
    summary="Clear stalls",
    responses={200: {"model": ClearedDocument}, **responses.responses(422, 503)},
)
async def clear_stalls(given: Given, after: BackgroundTask) -> Response:
    """Forget all stalls that are listed, and their groups, so that what comes after a mend is seen.

    What lasts just now stays, and so do the totals of `/metrics`.
    """
    cleared = await given.promptly(given.operations.clear_stalls(), part="writes")
    after.audit("stalls.clear", "stalls", cleared)
    return documents.answer({"cleared": cleared})

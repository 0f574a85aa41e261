"""Stalls of event loops over HTTP: listed, grouped by cause, cleared."""

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
    """The query of a list of stalls."""

    kind: StallKind | None = Field(
        None, description="Only stalls of this kind; `step` and `callback` are caused by code of jobs or routes."
    )
    function: Name | None = Field(None, description="Only stalls by jobs of this function.")
    route: Name | None = Field(None, description="Only stalls by this route, as method and template.")
    worker: Name | None = Field(None, description="Only stalls of this worker.")
    job_id: Name | None = Field(None, description="Only stalls by this job.")
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")] | None = Field(
        None, description="Only stalls with this `fingerprint`, that is of this cause."
    )
    after: Moment | None = Field(None, description="Only stalls that ended at or after this time (RFC 3339).")
    before: Moment | None = Field(None, description="Only stalls that ended before this time (RFC 3339).")

    def value(self) -> StallFilter:
        """Return the filter; raises InvalidOptions for one that no stall can match."""
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
    """List stalls of event loops, newest first: job, function, source line, and a remedy.

    About 1,000 are kept. `ongoing` lists stalls in progress, to which the times of the filter do not apply.
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
    """List causes of stalls over all workers and API processes, by total time.

    A cause is one line of code of one job function or route. The 500 most recent are kept, each for 30 days after its
    last stall. A cause that stalls while pages are read may be listed twice, or not at all.
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
    """Delete all listed stalls and their causes, for example after a fix, to see new ones.

    Stalls in progress stay, and so do the totals of `/metrics`.
    """
    cleared = await given.promptly(given.operations.clear_stalls(), part="writes")
    after.audit("stalls.clear", "stalls", cleared)
    return documents.answer({"cleared": cleared})

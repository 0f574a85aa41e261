"""The filter of lists and bulk calls over HTTP; unknown fields are refused, since to ignore one matches more jobs."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from offload.api.options import Moment
from offload.api.problems.request_errors import InvalidParameters
from offload.domain.clock import to_ms
from offload.domain.errors import FieldError
from offload.domain.filters import Filter
from offload.domain.states import Status

Name = Annotated[str, Field(min_length=1, max_length=200)]


class FilterDocument(BaseModel):
    """Selects the jobs that match all of its fields."""

    model_config = ConfigDict(extra="forbid")

    status: Status | None = Field(None, description="Only jobs with this status.")
    function: Name | None = Field(None, description="Only jobs of this job function.")
    queue: Name | None = Field(None, description="Only jobs in this queue.")
    tag: Name | None = Field(None, description="Only jobs with this tag.")
    error: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")] | None = Field(
        None,
        description="Only jobs with an attempt that failed with this `error.fingerprint`.",
    )
    enqueued_after: Moment | None = Field(None, description="Only jobs enqueued at or after this time (RFC 3339).")
    enqueued_before: Moment | None = Field(None, description="Only jobs enqueued before this time (RFC 3339).")

    def value(self) -> Filter:
        """Return the filter; raises InvalidOptions for one that no job can match."""
        return Filter(
            status=self.status,
            function=self.function,
            queue=self.queue,
            tag=self.tag,
            error=self.error,
            enqueued_after_ms=None if self.enqueued_after is None else to_ms(self.enqueued_after),
            enqueued_before_ms=None if self.enqueued_before is None else to_ms(self.enqueued_before),
        )


def check_once(request: Request) -> None:
    """Refuse a query parameter that is given more than once: all but one would be ignored."""
    names = [name for name, _ in request.query_params.multi_items()]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidParameters([FieldError(name, "given more than once", "repeated_parameter") for name in twice])

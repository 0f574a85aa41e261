"""What the typed requests of the benchmarks carry: the same body for every peer."""

from typing import Annotated

from pydantic import BaseModel, Field

BODY = (
    b'{"letter":{"to":["ada@example.com","grace@example.com"],"subject":"Your report is ready",'
    b'"text":"It has 12 pages. The figures of the last quarter are on page 7.","urgent":false,"copies":2}}'
)


class Letter(BaseModel):
    """A letter, as a job takes it."""

    to: Annotated[list[str], Field(min_length=1)]
    subject: Annotated[str, Field(max_length=200)]
    text: str
    urgent: bool = False
    copies: Annotated[int, Field(ge=1, le=100)] = 1

"""The JSON answer of a route; the documents themselves are `offload.documents`, built by `offload.domain.views`."""

from collections.abc import Mapping

import orjson
from starlette.responses import Response


def answer(document: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Serialise a document."""
    return Response(orjson.dumps(document), status, headers, "application/json")

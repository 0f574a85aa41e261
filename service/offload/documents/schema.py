"""Examples and names for OpenAPI, in the form that pydantic reads; nothing is imported for them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

_Shape = TypeVar("_Shape")


def example(**members: Any) -> Callable[[type[_Shape]], type[_Shape]]:
    """Give a document an example, which OpenAPI shows (`pydantic.ConfigDict.json_schema_extra`)."""

    def decorate(shape: type[_Shape]) -> type[_Shape]:
        shape.__pydantic_config__ = {"json_schema_extra": {"examples": [members]}}  # type: ignore[attr-defined]
        return shape

    return decorate


@dataclass(frozen=True, slots=True)
class Named:
    """Title and description of a named type in OpenAPI; part of its `Annotated`."""

    title: str
    description: str

    def __get_pydantic_json_schema__(self, schema: Any, handler: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        return {**handler(schema), "title": self.title, "description": self.description}

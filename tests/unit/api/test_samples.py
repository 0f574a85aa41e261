"""Values made to fit a schema."""

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field, TypeAdapter

from offload.api.pages.samples import sample


class Letter(BaseModel):
    to: Annotated[list[str], Field(min_length=2)]
    size: Annotated[int, Field(ge=3)]
    weight: Annotated[float, Field(examples=[0.25])]
    kind: Literal["air", "sea"]
    is_urgent: bool
    copies: int = 7
    reply: "Letter | None" = None


@pytest.mark.parametrize("kind", [Letter, list[Letter], dict[str, int], int, str, bool, int | None, None])
def test_a_sample_fits_its_schema(kind):
    """A sample is valid by the schema that it was made from."""
    adapter = TypeAdapter(kind)
    made = sample(adapter.json_schema())

    assert adapter.dump_python(adapter.validate_python(made), exclude_unset=True) == made


def test_a_sample_has_what_is_required_alone():
    """Required members are there, with the schema's own example where it has one; others are left out."""
    assert sample(Letter.model_json_schema()) == {
        "to": ["text", "text"],
        "size": 3,
        "weight": 0.25,
        "kind": "air",
        "is_urgent": True,
    }


def test_a_schema_that_contains_itself_has_an_end():
    """A schema that refers to itself for ever is cut off."""
    schema = {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}

    assert sample(schema) is None

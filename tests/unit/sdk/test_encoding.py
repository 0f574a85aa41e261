"""What a caller hands over, as the API reads it."""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath
from types import MappingProxyType
from uuid import UUID

import pytest
from pydantic import BaseModel, Field, SecretStr

from offload.sdk.encoding import as_json, as_query, moment


class Letter(BaseModel):
    sender: str = Field(serialization_alias="from")
    password: SecretStr


@dataclass
class Point:
    x: int


class Colour(Enum):
    RED = "red"


def test_arguments_may_be_what_programs_have():
    """Models, dataclasses, times, ids and the like are written as JSON has them; a model's secret goes to its job."""
    given = {
        "letter": Letter(sender="a", password=SecretStr("pw")),
        "point": Point(1),
        "at": datetime(2026, 1, 2, tzinfo=UTC),
        "on": date(2026, 1, 2),
        "id": UUID(int=1),
        "price": Decimal("1.10"),
        "colour": Colour.RED,
        "path": PurePosixPath("a/b"),
        "tags": frozenset({"t"}),
        "more": MappingProxyType({"é": (1, 2)}),
    }

    assert json.loads(as_json(given)) == {
        "letter": {"from": "a", "password": "pw"},
        "point": {"x": 1},
        "at": "2026-01-02T00:00:00+00:00",
        "on": "2026-01-02",
        "id": "00000000-0000-0000-0000-000000000001",
        "price": "1.10",
        "colour": "red",
        "path": "a/b",
        "tags": ["t"],
        "more": {"é": [1, 2]},
    }


def test_what_json_has_no_word_for_is_refused():
    """An object of some class, and NaN, are errors before anything is sent."""
    with pytest.raises(TypeError, match="object cannot be written as JSON"):
        as_json({"a": object()})
    with pytest.raises(ValueError, match="JSON"):
        as_json({"a": float("nan")})


def test_options_become_query_parameters():
    """None is left out, a list is repeated, times are RFC 3339."""
    given = {
        "delay": 1.5,
        "tag": ["a", "b"],
        "queue": None,
        "dry_run": True,
        "run_at": datetime(2026, 1, 2, tzinfo=UTC),
    }

    assert as_query(given) == [
        ("delay", "1.5"),
        ("tag", "a"),
        ("tag", "b"),
        ("dry_run", "true"),
        ("run_at", "2026-01-02T00:00:00+00:00"),
    ]


def test_a_time_without_a_zone_is_refused():
    """A naive datetime may mean any time; the error names the option and says what would have been right."""
    with pytest.raises(ValueError, match=r"run_at=.*no time zone.*tzinfo=UTC"):
        moment("run_at", datetime(2026, 1, 2))  # noqa: DTZ001

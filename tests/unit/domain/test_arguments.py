"""The typed signature of a job function: binding, checking, masking, results."""

import dataclasses
from datetime import UTC, datetime
from typing import Any, Optional

import pytest
from pydantic import BaseModel, SecretBytes, SecretStr

from offload.domain.arguments import Arguments, ResultType, encode_arguments
from offload.domain.errors import InvalidArguments, InvalidDefinition, ResultNotSerializable
from offload.domain.security.secrets import MASK, mask


class Address(BaseModel):
    host: str
    pin: SecretStr


class Message(BaseModel):
    to: list[str]
    relay: Optional[Address] = None  # noqa: UP045 - as users write it


def send(ctx: Any, message: Message, times: int = 1, key: SecretStr | None = None) -> None: ...


def login(ctx: Any, name: str, pin: SecretStr, codes: list[SecretStr], blob: SecretBytes | None = None) -> None: ...


SEND = Arguments.from_signature("mail.send", send)
LOGIN = Arguments.from_signature("auth.login", login)


def faults(arguments, given):
    with pytest.raises(InvalidArguments) as refused:
        arguments.validate(given)
    return [(fault.path, fault.code) for fault in refused.value.fields]


def test_arguments_are_built_as_the_function_wants_them():
    """Models are built, strings coerced as pydantic does, defaults filled in."""
    built = SEND.validate({"message": {"to": ["a@b.c"]}, "times": "2"})

    assert built == {"message": Message(to=["a@b.c"]), "times": 2, "key": None}


def test_every_fault_has_a_path():
    """A fault deep inside an argument is named by the way to it."""
    found = faults(SEND, {"message": {"to": ["x", 3], "relay": {"host": "h"}}, "times": "often"})

    assert found == [
        ("message.to.1", "string_type"),
        ("message.relay.pin", "missing"),
        ("times", "int_parsing"),
    ]


def test_missing_and_extra_arguments_are_faults():
    """An argument that is not there and one that nobody asked for are both named."""
    assert faults(SEND, {"massage": {}}) == [("message", "missing"), ("massage", "extra_forbidden")]


def test_an_extra_argument_is_a_fault_where_none_is_taken():
    """A function without arguments takes none."""
    nothing = Arguments.from_signature("x.f", lambda ctx: None)

    assert nothing.validate({}) == {}
    assert faults(nothing, {"a": 1}) == [("a", "extra_forbidden")]


def test_a_fault_never_repeats_the_value():
    """What was given may be a secret: it is in no part of the error."""
    with pytest.raises(InvalidArguments) as refused:
        LOGIN.validate({"name": "n", "pin": {"hunter2": 1}, "codes": "hunter2"})

    assert "hunter2" not in str(refused.value)
    assert "hunter2" not in repr(refused.value.fields)


def test_positional_arguments_get_their_names():
    """Stock arq producers give arguments by position."""
    assert SEND.bind([{"to": []}, 3], {"key": "k"}) == {"message": {"to": []}, "times": 3, "key": "k"}


@pytest.mark.parametrize(
    ("args", "kwargs", "code"),
    [([1, 2, 3, 4], {}, "too_many_arguments"), ([1], {"message": 2}, "repeated_argument")],
)
def test_arguments_that_do_not_bind_are_refused(args, kwargs, code):
    """Too many, or one given twice, is a fault as any other."""
    with pytest.raises(InvalidArguments) as refused:
        SEND.bind(args, kwargs)

    assert [fault.code for fault in refused.value.fields] == [code]


def test_an_argument_may_be_named_as_a_model_method_is():
    """Names that pydantic's models use for themselves are free for arguments."""

    def f(ctx, schema: str, model_dump: int, copy: bool = False): ...

    arguments = Arguments.from_signature("x.f", f)

    assert arguments.validate({"schema": "s", "model_dump": 1}) == {"schema": "s", "model_dump": 1, "copy": False}
    assert list(arguments.schema["properties"]) == ["schema", "model_dump", "copy"]


def test_untyped_arguments_take_anything():
    """Plain arq functions check their own arguments."""
    untyped = Arguments.untyped("x.f")

    assert untyped.validate({"a": object}) == {"a": object}
    assert untyped.schema == {"type": "object", "additionalProperties": True}


def test_the_schema_says_what_is_secret():
    """SecretStr is a write-only password, in models, in lists and where it is optional."""
    assert LOGIN.schema["properties"]["pin"]["format"] == "password"
    assert LOGIN.secret_names == {"pin", "codes", "blob"}
    assert SEND.secret_names == {"pin", "key"}


def test_secrets_are_masked_at_any_depth():
    """By declared type, in models, lists and optional arguments; what is no secret stays."""
    shown = SEND.masked({"message": {"to": ["a"], "relay": {"host": "h", "pin": "1234"}}, "times": 2, "key": "k"})

    assert shown == {"message": {"to": ["a"], "relay": {"host": "h", "pin": MASK}}, "times": 2, "key": MASK}
    assert LOGIN.masked({"name": "n", "pin": "1", "codes": ["2", "3"]}) == {"name": "n", "pin": MASK, "codes": MASK}


@pytest.mark.parametrize(
    "name",
    ["password", "db_passwd", "SECRET", "client_secret", "access_token", "token", "apikey", "API_KEY", "api-key",
     "Authorization", "credentials", "private_key", "passphrase"],
)  # fmt: skip
def test_telling_names_are_masked_whatever_their_type(name):
    """An untyped argument named like a secret is one."""
    assert mask({"a": [{name: "hunter2"}]}) == {"a": [{name: MASK}]}


def test_a_name_that_only_holds_a_telling_word_is_shown():
    """Counting tokens is no secret; nor is a flag, or nothing."""
    given = {"max_tokens": 7, "tokens": [1], "has_password": True, "secret": None}

    assert mask(given) == given


def test_masking_leaves_the_arguments_alone():
    """The job gets its secrets; only the copy that is shown has none."""
    given = {"pin": "1", "codes": ["2"]}
    LOGIN.masked(given)

    assert given == {"pin": "1", "codes": ["2"]}


def test_secrets_travel_as_they_are():
    """On the wire to the worker a secret is its value, also inside models."""
    assert encode_arguments({"pin": SecretStr("1"), "blob": SecretBytes(b"2")}) == b'{"pin":"1","blob":"2"}'
    assert encode_arguments(Address(host="h", pin=SecretStr("1"))) == b'{"host":"h","pin":"1"}'


def test_common_types_become_json():
    """Times, sets, bytes and dataclasses are written as pydantic reads them back."""

    @dataclasses.dataclass
    class Point:
        x: int

    given = {"at": datetime(2026, 1, 2, tzinfo=UTC), "some": {1}, "raw": b"x", "point": Point(1), 5: "five"}

    assert encode_arguments(given) == b'{"at":"2026-01-02T00:00:00Z","some":[1],"raw":"x","point":{"x":1},"5":"five"}'


@pytest.mark.parametrize("value", [object(), {"a": object()}, b"\xff"])
def test_what_json_cannot_carry_is_a_type_error(value):
    """The one error that an encoder raises."""
    with pytest.raises(TypeError):
        encode_arguments({"value": value})


def test_an_annotation_that_cannot_be_resolved_is_refused_at_import():
    """A name that does not exist is said with the function."""

    def f(ctx, x: "Nowhere"): ...  # noqa: F821

    with pytest.raises(InvalidDefinition, match=r"x\.f.*Nowhere"):
        Arguments.from_signature("x.f", f)


def test_a_type_that_json_cannot_carry_is_refused_at_import():
    """An argument of a class that pydantic does not know has no schema."""

    class Socket: ...

    def f(ctx, s: Socket): ...

    with pytest.raises(InvalidDefinition, match=r"x\.f"):
        Arguments.from_signature("x.f", f)


def test_a_result_is_serialised_by_its_annotation():
    """The return annotation says how; without one pydantic's own way is taken."""

    def typed() -> Address: ...

    typed_result = ResultType.from_annotation(typed)

    assert (
        ResultType.from_annotation(lambda: 1).to_json({"at": datetime(2026, 1, 2, tzinfo=UTC)})
        == b'{"at":"2026-01-02T00:00:00Z"}'
    )
    assert ResultType.untyped().to_json(None) == b"null"
    assert typed_result.schema["title"] == "Address"


def test_a_secret_in_a_result_is_masked():
    """Nobody needs the secret back."""

    def typed() -> Address: ...

    assert (
        ResultType.from_annotation(typed).to_json(Address(host="h", pin=SecretStr("1")))
        == b'{"host":"h","pin":"**********"}'
    )


def loop():
    me: list[Any] = []
    me.append(me)
    return me


@pytest.mark.parametrize("value", [object(), lambda: 1, loop(), {1: object()}, b"\xff"])
def test_a_result_that_json_cannot_carry_names_its_type(value):
    """Whatever it is, the error is ours."""
    with pytest.raises(ResultNotSerializable, match=type(value).__qualname__):
        ResultType.untyped().to_json(value)

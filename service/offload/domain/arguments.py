"""The typed signature of a job function: arguments checked by pydantic, and a result that becomes JSON."""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PydanticSchemaGenerationError,
    SecretBytes,
    SecretStr,
    TypeAdapter,
    ValidationError,
    create_model,
)
from pydantic_core import PydanticSerializationError, SchemaValidator, to_json

from offload.domain.errors import FieldError, InvalidArguments, InvalidDefinition, ResultNotSerializable
from offload.domain.security.secrets import Redaction, mask

_PREFIX = "arg_"


class Arguments:
    """The arguments of one job function; untyped ones (of plain arq functions) accept anything."""

    def __init__(self, function: str, names: Sequence[str], model: type[BaseModel] | None) -> None:
        self.function = function
        self.names = tuple(names)
        self.model = model
        self._fields = tuple((name, _PREFIX + name) for name in names)

    @classmethod
    def untyped(cls, function: str) -> "Arguments":
        """Return arguments that accept anything, as arq does."""
        return cls(function, (), None)

    @classmethod
    def from_signature(cls, function: str, fn: Callable[..., Any]) -> "Arguments":
        """Read the parameters after the context; raise InvalidDefinition if one has no schema."""
        try:
            parameters = list(inspect.signature(fn, eval_str=True).parameters.values())
        except NameError as error:
            msg = f"{function}: an annotation cannot be resolved: {error}"
            raise InvalidDefinition(msg) from error
        if not parameters or parameters[0].kind is inspect.Parameter.KEYWORD_ONLY:
            msg = f"{function} takes no context; its first parameter must be `ctx: JobContext`"
            raise InvalidDefinition(msg)
        fields: dict[str, Any] = {}
        for parameter in parameters[1:]:
            if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
                msg = f"{function}: *args and **kwargs have no schema; name each argument"
                raise InvalidDefinition(msg)
            annotation = Any if parameter.annotation is parameter.empty else parameter.annotation
            default = ... if parameter.default is parameter.empty else parameter.default
            fields[_PREFIX + parameter.name] = (annotation, Field(default, alias=parameter.name))
        title = "".join(part.capitalize() for part in re.split(r"\W|_", function))
        config = ConfigDict(extra="forbid", title=f"{title}Arguments", arbitrary_types_allowed=False)
        try:
            model = create_model(f"{title}Arguments", __config__=config, **fields)
        except PydanticSchemaGenerationError as error:
            msg = f"{function}: an argument has a type that JSON cannot carry: {str(error).splitlines()[0]}"
            raise InvalidDefinition(msg) from error
        return cls(function, [p.name for p in parameters[1:]], model)

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments by name, including positional ones (of arq's producers); raise InvalidArguments."""
        if len(args) > len(self.names):
            takes = len(self.names)
            fault = FieldError("", f"takes {takes} arguments, {len(args)} were given", "too_many_arguments")
            raise InvalidArguments(self.function, [fault])
        bound = dict(zip(self.names, args, strict=False))
        twice = bound.keys() & kwargs.keys()
        if twice:
            raise InvalidArguments(self.function, [FieldError(n, "given twice", "repeated_argument") for n in twice])
        return {**bound, **kwargs}

    def validate(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments as the function takes them (models built, types coerced); raise InvalidArguments."""
        if self.model is None:
            return dict(given)
        if not given and not self._fields:
            return {}
        try:
            built = self.model.model_validate(given)
        except ValidationError as error:
            hide = Redaction(given, self.secret_names)  # a validator of the user's may quote its input
            faults = [FieldError(hide.text(f.path), hide.text(f.message), f.code) for f in field_errors(error)]
            raise InvalidArguments(self.function, faults) from None
        return {name: getattr(built, field) for name, field in self._fields}

    @cached_property
    def is_empty(self) -> bool:
        """True if a call without arguments needs no check."""
        return self.model is None or not self._fields

    def check(self, given: Mapping[str, Any]) -> None:
        """Raise InvalidArguments where `validate` would."""
        if self._validator is None:
            self.validate(given)
            return
        try:
            self._validator.validate_python(given)
        except ValidationError:
            self.validate(given)  # which raises our own error

    @cached_property
    def _validator(self) -> SchemaValidator | None:
        """The model's own validator, which `model_validate` wraps."""
        validator = None if self.model is None else self.model.__pydantic_validator__
        return validator if isinstance(validator, SchemaValidator) else None

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of the arguments as one object."""
        if self.model is None:
            return {"type": "object", "additionalProperties": True}
        return self.model.model_json_schema()

    @cached_property
    def secret_names(self) -> frozenset[str]:
        """Names of properties, at any depth, that the schema declares secret (SecretStr, SecretBytes)."""
        found: set[str] = set()
        _collect_secrets(self.schema, found)
        return frozenset(found)

    def masked(self, given: Any) -> Any:
        """Return a copy of JSON arguments with every secret masked, by declared type and by name."""
        return mask(given, self.secret_names)


def _collect_secrets(schema: Any, found: set[str]) -> None:
    if isinstance(schema, dict):
        for name, prop in (schema.get("properties") or {}).items():
            if "password" in _formats(prop):
                found.add(name)
        for part in schema.values():
            _collect_secrets(part, found)
    elif isinstance(schema, list):
        for part in schema:
            _collect_secrets(part, found)


def _formats(prop: Any) -> set[str]:
    if not isinstance(prop, dict):
        return set()
    inner = [*prop.get("anyOf", ()), *prop.get("oneOf", ()), prop.get("items")]
    return {str(prop.get("format", ""))}.union(*(_formats(part) for part in inner))


def field_errors(error: ValidationError) -> list[FieldError]:
    """Convert pydantic's errors; the input is left out, since it may be a secret."""
    return [
        FieldError(".".join(str(part) for part in item["loc"]), item["msg"], item["type"])
        for item in error.errors(include_url=False, include_context=False, include_input=False)
    ]


@dataclass(frozen=True)
class ResultType:
    """The type of a job function's result, by its return annotation where there is one."""

    adapter: TypeAdapter[Any] | None

    @classmethod
    def untyped(cls) -> "ResultType":
        """Return the result type of a function without a return annotation."""
        return cls(None)

    @classmethod
    def from_annotation(cls, fn: Callable[..., Any]) -> "ResultType":
        """Read the return annotation; one that pydantic cannot serialise counts as none."""
        try:
            annotation = inspect.signature(fn, eval_str=True).return_annotation
        except NameError:
            return cls(None)
        if annotation in (inspect.Signature.empty, Any, None):
            return cls(None)
        try:
            return cls(TypeAdapter(annotation))
        except PydanticSchemaGenerationError:
            return cls(None)

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of the result."""
        return self.adapter.json_schema(mode="serialization") if self.adapter else {}

    def to_json(self, value: Any) -> bytes:
        """Serialise a result; raises ResultNotSerializable, which names its type."""
        if value is None:
            return b"null"
        try:
            if self.adapter is not None:
                return self.adapter.dump_json(value, warnings="none")
            return to_json(value)
        except (PydanticSerializationError, TypeError, ValueError, RecursionError) as error:
            msg = f"the job returned a {type(value).__qualname__} that cannot be serialised to JSON: {error}"
            raise ResultNotSerializable(msg) from None


def encode_arguments(given: Any) -> bytes:
    """Serialise arguments for Redis: secrets in the clear, since the job needs them, models by their field aliases."""
    return orjson.dumps(given, default=_encode, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z)


def _encode(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, SecretBytes):
        return value.get_secret_value().decode()
    if isinstance(value, BaseModel):
        return value.model_dump(by_alias=True)
    if isinstance(value, set | frozenset):
        return list(value)
    if isinstance(value, bytes):
        return value.decode()
    return orjson.Fragment(to_json(value))

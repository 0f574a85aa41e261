"""Loads the settings of this process, reports invalid ones, and builds the environment of a child."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cache

from pydantic import SecretStr, ValidationError

from offload.settings import sources
from offload.settings.fields import SECRETS, Settings
from offload.settings.sources import PREFIX, SettingsError, dotenv, variable_of


def load_settings(**overrides: object) -> Settings:
    """Read the settings now; `overrides` (command-line flags) win over the environment.

    Raises SettingsError with one line for each bad value.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        raise SettingsError(render_errors(error)) from None


@cache
def get_settings() -> Settings:
    """Return the settings of this process, read once; `get_settings.cache_clear()` makes the next call read again."""
    return load_settings()


def render_errors(error: ValidationError) -> str:
    """Render pydantic's errors, one line for each bad value: `OFFLOAD_PORT: …`; values of secrets are left out."""
    variables = {**dotenv(), **sources.environment()}
    lines = []
    for details in error.errors(include_url=False, include_context=False):
        name = str(details["loc"][0]) if details["loc"] else ""
        variable = variable_of(name) if name in Settings.model_fields else name or "settings"
        message = details["msg"].removeprefix("Value error, ")
        message = message[:1].lower() + message[1:]
        value = variables.get(variable)
        shown = f", not {value!r}" if value and name not in SECRETS else ""
        lines.append(f"{variable}: {message}{shown}")
    return "\n".join(dict.fromkeys(lines))


def unknown_variables() -> list[str]:
    """Return a warning for each unknown OFFLOAD_ variable in the environment or `.env`."""
    known = [variable_of(name) for name in Settings.model_fields]
    known += [variable_of(name) + "_FILE" for name in SECRETS]
    present = sorted({name for name in (*sources.environment(), *dotenv()) if name.startswith(PREFIX)} - set(known))
    warnings = []
    for name in present:
        near = get_close_matches(name, known, n=1)
        warnings.append(f"{name} is not a setting" + (f"; did you mean {near[0]}?" if near else ""))
    return warnings


def child_environment(changes: Mapping[str, object] | None = None) -> dict[str, str]:
    """Return the environment for a child process: this one's, with settings changed (`{"redis_url": …}`).

    A list is written comma-separated, None unsets the variable. An unknown name is a KeyError.
    """
    environment = sources.environment()
    for name, value in (changes or {}).items():
        _ = Settings.model_fields[name]
        environment.pop(variable_of(name), None)
        environment.pop(variable_of(name) + "_FILE", None)
        if value is not None:
            environment[variable_of(name)] = as_text(value)
    return environment


def as_text(value: object) -> str:
    """Write a value as its variable holds it: a list comma-separated, a secret in the clear."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ",".join(as_text(part) for part in value)
    return str(value)

"""Sources of values: the environment, `.env`, and the files named by `_FILE` variables. It reads `os.environ`."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from offload.domain.errors import OffloadError

PREFIX = "OFFLOAD_"
DOTENV = ".env"


class SettingsError(OffloadError):
    """Invalid values in the environment; the message has one line for each, starting with its variable."""


def variable_of(name: str) -> str:
    """Return the environment variable of a setting: `port` → `OFFLOAD_PORT`."""
    return PREFIX + name.upper()


def environment() -> dict[str, str]:
    """Return a copy of the environment of this process."""
    return dict(os.environ)


def dotenv() -> dict[str, str | None]:
    """Return the variables of `.env` in the working directory."""
    return dotenv_values(DOTENV, encoding="utf-8")


class SecretFiles(PydanticBaseSettingsSource):
    """The values of OFFLOAD_<NAME>_FILE variables: the content of the named file, without the newline at its end."""

    def __init__(self, settings_cls: type[BaseSettings], names: Sequence[str]) -> None:
        super().__init__(settings_cls)
        self._names = names

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        """Return the content of the file of one setting; raises SettingsError if it cannot be read."""
        variable = variable_of(field_name)
        named = os.environ.get(variable + "_FILE") or dotenv().get(variable + "_FILE")
        if not named:
            return None, field_name, False
        if os.environ.get(variable):
            raise SettingsError(f"{variable}_FILE: set either this or {variable}, not both")
        try:
            return Path(named).read_text(encoding="utf-8").strip(), field_name, False
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            raise SettingsError(f"{variable}_FILE: cannot read {named!r}: {reason}") from error

    def __call__(self) -> dict[str, Any]:
        """Return the values of all settings that have a file."""
        values = {name: self.get_field_value(self.settings_cls.model_fields[name], name)[0] for name in self._names}
        return {name: value for name, value in values.items() if value is not None}

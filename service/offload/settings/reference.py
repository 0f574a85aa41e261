"""The reference page of the settings, generated from the fields."""

from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from offload.settings.fields import SECRETS, Settings
from offload.settings.load import as_text
from offload.settings.sources import variable_of


def reference() -> str:
    """Return the text of `docs/reference/settings.md`."""
    rows = [
        f"| `{variable_of(name)}` | {_values_of(name, field)} | {_default_of(field)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    files = ", ".join(f"`{variable_of(name)}_FILE`" for name in SECRETS)
    return "\n".join(
        [
            "# Settings",
            "",
            "<!-- Written by `python -m offload.settings`; change the descriptions in `service/offload/settings/`. -->",
            "",
            "Settings are environment variables, or the same names in a file `.env` in the working directory; the",
            "environment takes precedence. An empty value counts as unset. Durations are in seconds, sizes in bytes,",
            "unless the name says otherwise. Lists are comma-separated.",
            "",
            f"{files} name a file with the value, for mounted secrets.",
            "A variable that starts with `OFFLOAD_` but is not listed here causes a warning at startup.",
            "",
            "| variable | values | default | description |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _values_of(name: str, field: FieldInfo) -> str:
    """Describe the valid values of a field, for a reader who does not know Python."""
    words: dict[Any, str] = {
        int: "integer",
        int | None: "integer",
        float: "number",
        bool: "`true` or `false`",
        str: "text",
        SecretStr: "text",
    }
    if name.endswith("_url"):
        return "URL"
    if name in {"redis_server", "data_dir"}:
        return "path"
    choices = getattr(field.annotation, "__args__", ())
    if choices and all(isinstance(choice, str) for choice in choices):
        return ", ".join(f"`{choice}`" for choice in choices)
    if field.annotation in words:
        return words[field.annotation]
    return "list" if choices and choices[0] in {str, SecretStr} and type(None) not in choices else "text"


def _default_of(field: FieldInfo) -> str:
    value = field.default
    if value is None or value in ("", []):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float):
        return f"`{value:g}`"
    return f"`{as_text(value)}`"

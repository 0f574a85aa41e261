"""The settings, read from the environment. Everything else gets values.

`fields` has the settings, `types` validates their values, `sources` reads environment, `.env` and secret files, `load`
reports invalid values, `reference` is their page: `python -m offload.settings` prints `docs/reference/settings.md`.
"""

from offload.settings.fields import SECRETS, Settings
from offload.settings.load import child_environment, get_settings, load_settings, unknown_variables
from offload.settings.reference import reference
from offload.settings.sources import PREFIX, SettingsError, variable_of

__all__ = [
    "PREFIX",
    "SECRETS",
    "Settings",
    "SettingsError",
    "child_environment",
    "get_settings",
    "load_settings",
    "reference",
    "unknown_variables",
    "variable_of",
]

"""What an operator can set, and the only reader of the environment. Everything else is given values.

`fields` has the settings, `kinds` what is a good value, `sources` where values come from, `reading` how they are read
and what is said of bad ones, `page` their reference: `python -m offload.settings` prints `docs/reference/settings.md`.
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

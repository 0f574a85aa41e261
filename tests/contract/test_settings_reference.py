"""The settings reference is written from the code, so it can never be wrong; only old, and this file tells."""

import re
from pathlib import Path

from offload import settings

ROOT = Path(__file__).parents[2]


def test_the_settings_page_is_current():
    """`docs/reference/settings.md` is what `python -m offload.settings` prints."""
    page = (ROOT / "docs/reference/settings.md").read_text()

    assert page == settings.reference(), "run: python -m offload.settings > docs/reference/settings.md"


def test_the_example_environment_names_only_real_settings():
    """Every OFFLOAD_ variable of `.env.example` is a setting, and every setting stands in it."""
    named = set(re.findall(r"OFFLOAD_[A-Z_]+", (ROOT / ".env.example").read_text()))
    real = {settings.variable_of(name) for name in settings.Settings.model_fields}

    assert named - {settings.variable_of(name) + "_FILE" for name in settings.SECRETS} == real

"""`python -m offload.settings` prints the reference."""

from offload.settings.reference import reference

print(reference(), end="")  # noqa: T201  (the page is what this command is for)

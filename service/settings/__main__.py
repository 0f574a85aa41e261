"""`python -m service.settings` prints the reference."""

from service.settings.page import reference

print(reference(), end="")  # noqa: T201  (the page is what this command is for)

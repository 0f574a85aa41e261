"""How long the model test goes on: by default as long as a test may, by argument as long as one likes."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the two arguments; they are there when pytest is given this folder."""
    group = parser.getgroup("model")
    group.addoption("--model-examples", type=int, help="how many random histories to try, from a new seed each run")
    group.addoption("--model-steps", type=int, help="how many steps a history has at most")

"""stub"""


def demo() -> None:
    """Run every shipped job."""

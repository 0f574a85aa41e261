"""Who sits at the shell: the name under which a command stands in the audit."""

import os


def who() -> str:
    """Return `cli:<user>` by the account of the process; an environment variable would be anybody's word."""
    try:
        import pwd  # noqa: PLC0415 - not on every platform

        return f"cli:{pwd.getpwuid(os.getuid()).pw_name}"
    except (ImportError, KeyError):
        return f"cli:{os.getuid() if hasattr(os, 'getuid') else 'unknown'}"

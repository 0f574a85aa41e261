"""Three small jobs to try things with: one that fails at first, one that takes its time, one for a schedule."""

from offload.cli.demo.jobs import flaky, sleep, tick

__all__ = ["flaky", "sleep", "tick"]

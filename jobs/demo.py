"""Three small jobs to experiment with: one that fails at first, one that sleeps, one for a schedule."""

from offload.cli.demo.jobs import flaky, sleep, tick

__all__ = ["flaky", "sleep", "tick"]

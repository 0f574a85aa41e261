"""The feed of what happens to jobs: one blocking read per process, fanned out to its readers."""

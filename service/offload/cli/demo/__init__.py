"""`offload demo`: starts the whole service, runs every shipped job on real input over HTTP, checks every result."""

"""`offload demo`: the whole service started, every shipped job run on real input over HTTP, every result checked."""

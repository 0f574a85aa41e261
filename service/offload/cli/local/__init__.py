"""Redis, the API and workers as processes on one machine, as `offload up` runs them."""

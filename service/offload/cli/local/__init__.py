"""What `offload up` runs on one machine: Redis, the API and workers as processes."""

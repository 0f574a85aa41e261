"""`offload doctor`: looks for what would go wrong, before it does. As yet it looks at code."""

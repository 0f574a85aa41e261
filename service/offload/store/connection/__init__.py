"""From an address to a connection: redis-py, its errors, our scripts, and what to do while Redis is away."""

"""Clients of Redis, asynchronous and blocking; errors, outages, and the Lua scripts."""

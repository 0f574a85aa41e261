"""The whole of a Redis as one value, to compare before and after."""

import redis


def keyspace(url: str) -> dict[bytes, tuple[bytes, bool]]:
    """Return each key's serialised value, and whether it has a TTL."""
    with redis.Redis.from_url(url) as client:
        return {key: (client.dump(key), client.ttl(key) >= 0) for key in client.scan_iter(count=1000)}

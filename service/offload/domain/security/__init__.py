"""API keys, encryption keys, signatures, addresses and secrets, as values."""

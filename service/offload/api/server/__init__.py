"""How the web process listens: uvicorn with our protocol."""

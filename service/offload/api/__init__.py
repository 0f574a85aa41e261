"""The HTTP API: translates requests into calls of `client` and `inspector`, and what they answer into documents.

Nothing is decided here but HTTP: statuses (`problems`), shapes (`documents`), query options (`options`).
"""

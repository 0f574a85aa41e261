"""The HTTP API: translates requests into calls of `client`, `inspector` and `operations`, and results into documents.

It decides only what is HTTP: statuses (`problems`), shapes (`documents`), query options (`options`).
"""

"""The documents that Offload shows, each declared once for API, CLI and SDK.

They are TypedDicts that depend on nothing but `typing_extensions`, so that a program that uses the SDK loads no more
than that. `domain.views` builds them from values.
"""

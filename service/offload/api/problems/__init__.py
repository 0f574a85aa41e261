"""Errors over HTTP, as RFC 9457 problems."""

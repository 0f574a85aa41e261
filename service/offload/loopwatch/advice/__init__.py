"""Advice on stalls: the table of known blocking calls, and the hints made from it."""

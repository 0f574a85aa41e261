"""Threads and processes for code that must not run on the event loop, sized for each queue."""

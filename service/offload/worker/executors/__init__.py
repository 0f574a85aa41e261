"""Threads and processes for what must not run on the event loop, sized for each queue."""

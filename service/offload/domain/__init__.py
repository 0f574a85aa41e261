"""What a job is and what happens to it next, decided from values alone: no I/O, no asyncio."""

"""The rules of jobs without I/O: what a job is and what follows each event, decided from values alone."""

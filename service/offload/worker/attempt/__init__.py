"""One attempt of a job, from claimed to recorded: prepare, invoke, decide, finish."""

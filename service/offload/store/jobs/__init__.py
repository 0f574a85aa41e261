"""Jobs in Redis: enqueued, claimed, finished, listed, read back; and how their bytes are written."""

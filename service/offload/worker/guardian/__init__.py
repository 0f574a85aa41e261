"""The process beside each worker process: it renews leases, releases jobs of the dead, and ends what hangs."""

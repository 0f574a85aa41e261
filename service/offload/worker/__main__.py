"""The worker process as a program, with nothing in it: a child process of a job runs its parent's main module anew.

`multiprocessing` leaves out those that are named `__main__`; any other would be imported again, with all of the worker,
by each child that starts.
"""

if __name__ == "__main__":
    from offload.worker.process import main

    raise SystemExit(main())

"""The watched loop: names the job or request that held the event loop, and its line, in production.

`step_clock` knows exactly which scope holds the loop and for how long. `watchdog`, a thread, reads the loop's stack
while it is held. `verdicts` and `judge` decide the kind of each stall, `describe` makes a record of it, and `reporter`
logs the record and hands it to a sink. Nothing here speaks to Redis: the sink does.
"""

"""The watched loop: which job or request held the event loop, and which line of it, always on.

A step clock (`clock`) says exactly which scope holds the loop and for how long; a watchdog thread (`watch`) reads the
loop's stack while it is held; `judge` decides what kind of stall that was, and `records` and `reporter` tell people.
Nothing in here speaks to Redis: whoever starts a watch says where its records go.
"""

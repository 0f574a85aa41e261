"""Processes of the system, as a test sees them."""

import asyncio
import os
from pathlib import Path


async def gone(pid: int, timeout: float = 20) -> None:
    """Return when a process, a child or not, has ended; fails the test when it has not."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(fd, ended.set)
    try:
        async with asyncio.timeout(timeout):
            await ended.wait()
    finally:
        loop.remove_reader(fd)
        os.close(fd)


def children_of(pid: int) -> list[int]:
    """Return the ids of a process' direct children, of all its threads."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return found


def marked(name: str, value: str) -> list[int]:
    """Return the ids of all processes that were started with this in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes().split(b"\0")
            is_zombie = (process / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except (OSError, IndexError):
            continue
        if f"{name}={value}".encode() in environment and not is_zombie:
            found.append(int(process.name))
    return found

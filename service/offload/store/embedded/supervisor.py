"""The process between an embedded Redis and its parent: when the parent ends, however it ends, so does Redis.

It is run as a plain file by `python -I -S`, so it imports nothing of ours and little of anybody's. It has one thread on
purpose: Linux sends the death signal when the *thread* that forked is gone, and a thread of the real parent may go at
any time. Arguments: the process to watch, the seconds that Redis has to stop, the private directory, then the command
line of the server.

It prints the server's process id. It ends Redis when its standard input closes, when the watched process is gone, or on
SIGTERM, then removes the socket's private directory and exits with 0. When Redis ended by itself it exits with 1 and
leaves the directory, for the parent to read why.
"""

import os
import select
import shutil
import signal
import sys
import time

PR_SET_PDEATHSIG = 1


def main() -> int:
    """Start the server, wait for a reason to stop it, stop it."""
    parent, grace, private, *command = sys.argv[1:]
    for ignored in (signal.SIGINT, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    wake, told = os.pipe()
    os.set_blocking(told, False)
    signal.set_wakeup_fd(told)
    for heard in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(heard, lambda *_: None)
    server = start(command)
    if report(server) and not wait(server, int(parent), wake):
        return 1
    stop(server, float(grace))
    shutil.rmtree(private, ignore_errors=True)
    return 0


def start(command: list[str]) -> int:
    """Fork the server, which dies with this process and inherits the data directory's lock, to hold it to its end."""
    supervisor = os.getpid()
    server = os.fork()
    if server:
        return server
    try:
        die_with_parent()
        if os.getppid() != supervisor:
            os._exit(1)
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)
        for kept in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGCHLD):
            signal.signal(kept, signal.SIG_DFL)
        # A locale that this machine does not have would make the server refuse to start.
        os.execve(command[0], command, {"LC_ALL": "C"})  # noqa: S606
    except OSError as error:
        os.write(2, f"cannot run {command[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def die_with_parent() -> None:
    """Ask Linux to kill this process when its parent is gone; elsewhere the pipe alone has to do."""
    if not sys.platform.startswith("linux"):
        return
    try:
        import ctypes  # noqa: PLC0415  (only the child on Linux needs it)

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        return


def report(server: int) -> bool:
    """Print the server's process id for the parent; return False if the parent is gone."""
    try:
        os.write(1, f"{server}\n".encode())
    except BrokenPipeError:
        return False
    return True


def wait(server: int, parent: int, wake: int) -> bool:
    """Return True when the server must be stopped, False when it has ended by itself."""
    poll = select.poll()
    poll.register(0, select.POLLIN | select.POLLHUP)
    poll.register(wake, select.POLLIN)
    parents_end = open_process(parent)
    if parents_end is not None:
        poll.register(parents_end, select.POLLIN)
    while os.getppid() == parent:
        for ready, _ in poll.poll():
            if ready != wake:
                return True
            if signal.SIGTERM in os.read(wake, 64):
                return True
            if os.waitpid(server, os.WNOHANG)[0]:
                return False
    return True


def open_process(process: int) -> int | None:
    """Return a descriptor that is readable once the process is gone, if the system has such descriptors (Linux 5.3).

    The pipe says the same, unless a fork of the parent, by some library, still holds its other end.
    """
    try:
        return os.pidfd_open(process)
    except (AttributeError, OSError):
        return None


def stop(server: int, grace: float) -> None:
    """Let the server write its data and end; kill it if that takes longer than `grace` seconds."""
    os.kill(server, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while not os.waitpid(server, os.WNOHANG)[0]:
        if time.monotonic() > deadline:
            os.kill(server, signal.SIGKILL)
            os.waitpid(server, 0)
            break
        time.sleep(0.002)


if __name__ == "__main__":
    sys.exit(main())

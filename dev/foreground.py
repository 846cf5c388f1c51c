"""Runs one command in the foreground, with servers that start before it and stop after it."""

import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from dev.processes import Failure, Interruption, Processes

PATIENCE_SECONDS = 10.0
ENDED_BY_SIGNAL = 128


def in_foreground(processes: Processes, command: Sequence[str | Path], env: Mapping[str, str]) -> int:
    """Run the command on this terminal and return its exit status, 128 + n when signal n ended it.

    On a terminal Ctrl-C reaches the command as well as the launcher; it gets time to end cleanly, as
    pytest does with its summary. Raises Failure when the command does not exist, ChildExit when a server ends.
    """
    at_terminal = sys.stdin.isatty()
    try:
        child = processes.start(
            str(command[0]),
            command,
            foreground=at_terminal,
            runs_to_end=True,
            patience=PATIENCE_SECONDS,
            stdin=None,
            env=env,
        )
    except OSError as error:
        raise Failure(f"{command[0]} cannot be started: {error}") from None
    try:
        while not child.has_ended():
            processes.pause(lambda: None)
    except Interruption as error:
        if at_terminal and error.signum == signal.SIGINT:
            with suppress(subprocess.TimeoutExpired):
                child.process.wait(PATIENCE_SECONDS)
        raise
    processes.discard(child)
    status = child.process.returncode
    return status if status >= 0 else ENDED_BY_SIGNAL - status

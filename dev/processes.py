"""Starts child processes and makes sure that none of them outlives the launcher, however it ends."""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from dev import warden
from dev.places import ROOT
from dev.warden import Ward

PR_SET_PDEATHSIG = 1
POLL_SECONDS = 0.05
TAIL_LINES = 25

# Loaded before any fork: looking a library up between fork and exec could deadlock.
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class Failure(Exception):
    """An error for the user; its text is the complete message."""


class ChildExit(Failure):
    """A process ended unexpectedly or with an error."""


class Interruption(BaseException):
    """A signal told the launcher to end."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


@dataclass(frozen=True)
class Child:
    name: str
    process: subprocess.Popen[bytes]
    log: Path | None
    ward: Ward
    runs_to_end: bool  # A command that is expected to end; for any other process the end is an error.

    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def tail(self) -> str:
        return tail(self.log) if self.log else ""


class Processes:
    """The launcher's children. Leaving the `with` block stops them, last started first.

    Use it on the main thread only: Linux ties a child's death signal to the thread that made it.
    """

    def __init__(self) -> None:
        self._children: list[Child] = []
        self._end_signal: int | None = None
        self._may_raise = True

    def __enter__(self) -> "Processes":
        # Set explicitly: a shell's background job inherits SIGINT ignored. SIGHUP stays ignored under nohup.
        signal.signal(signal.SIGINT, self._on_signal)
        signal.signal(signal.SIGTERM, self._on_signal)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self._on_signal)
        reader, writer = os.pipe()
        self._to_warden = os.fdopen(writer, "wb", buffering=0)
        self._warden = subprocess.Popen(
            [sys.executable, "-I", "-S", warden.__file__],
            stdin=reader,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(reader)
        if "MAKELEVEL" in os.environ:
            _die_with_parent(os.getppid(), signal.SIGTERM)  # kill -9 of `make` ends the launcher as well.
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._may_raise = False  # From here on a second Ctrl-C cannot cut the stopping short.
        self.stop_all()
        self._to_warden.close()
        self._warden.wait()

    def start(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path | None = None,
        stop_signal: int = signal.SIGTERM,
        patience: float = 5.0,
        foreground: bool = False,
        runs_to_end: bool = False,
        **options: Any,
    ) -> Child:
        """Start a process that ends with the launcher; `options` go to `subprocess.Popen`.

        Its output is appended to `log`. It leads its own process group, so that its children can be stopped with
        it and Ctrl-C reaches the launcher alone; a `foreground` one stays in the launcher's group.
        """
        launcher = os.getpid()
        options.setdefault("cwd", ROOT)
        if not foreground:
            options.setdefault("stdin", subprocess.DEVNULL)
        if log:
            log.parent.mkdir(parents=True, exist_ok=True)
            options["stderr"] = log.open("ab")
            options.setdefault("stdout", options["stderr"])
        self._may_raise = False  # A signal between the fork and its registration would leave an orphan.
        try:
            process = subprocess.Popen(
                [str(part) for part in command],
                start_new_session=not foreground,
                preexec_fn=lambda: _die_with_parent(launcher, stop_signal),
                **options,
            )
            ward = Ward(process.pid, int(stop_signal), patience, leads_group=not foreground)
            child = Child(name, process, log, ward, runs_to_end)
            self._children.append(child)
            self._tell_warden({"watch": vars(ward)})
        finally:
            self._may_raise = True
            if log:
                options["stderr"].close()
        if self._end_signal is not None:
            raise Interruption(self._end_signal)
        return child

    def run(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path,
        tick: Callable[[], None],
        within: float = 120.0,
        **options: Any,
    ) -> str:
        """Run a command to its end and return its output. Raises ChildExit if it fails or hangs."""
        output_file = log.with_suffix(".out")
        with output_file.open("wb") as out:
            child = self.start(name, command, log=log, stdout=out, runs_to_end=True, **options)
        deadline = time.monotonic() + within
        while not child.has_ended():
            if time.monotonic() > deadline:
                raise ChildExit(f"{name} did not end within {within:.0f} seconds.\n{child.tail()}")
            self.pause(tick)
        self._forget(child)
        text = output_file.read_text(errors="replace")
        output_file.unlink()
        if child.process.returncode != 0:
            raise ChildExit(f"{name} failed with status {child.process.returncode}.\n{_last_lines(text)}{child.tail()}")
        return text

    def wait_for(self, ready: Callable[[], bool], what: str, *, within: float, tick: Callable[[], None]) -> None:
        """Wait until `ready()`. Raises ChildExit if a child ends meanwhile, Failure if it takes too long."""
        deadline = time.monotonic() + within
        while not ready():
            if time.monotonic() > deadline:
                raise Failure(f"{what} was not ready within {within:.0f} seconds.\n{self._tails()}")
            self.pause(tick)

    def pause(self, tick: Callable[[], None], seconds: float = POLL_SECONDS) -> None:
        """Wait a moment, then check that all children still run. Raises ChildExit."""
        tick()
        time.sleep(seconds)
        self.check()

    def check(self) -> None:
        """Check that all children still run. Raises ChildExit with the end of the log if one does not."""
        for child in self._children:
            if child.has_ended() and not child.runs_to_end:
                status = child.process.returncode
                how = f"status {status}" if status >= 0 else signal.Signals(-status).name
                raise ChildExit(f"{child.name} ended unexpectedly ({how}). The end of its log:\n{child.tail()}")

    def discard(self, child: Child) -> None:
        """Stop a child and stop watching it, so that its end is not an error."""
        self._stop(child)
        self._forget(child)

    def remove_at_the_end(self, folder: Path) -> None:
        """Have the folder removed when everything has stopped, even after kill -9 of the launcher."""
        self._tell_warden({"remove": str(folder)})

    def stop_all(self) -> None:
        """Stop all children, last started first, each within its patience."""
        for child in reversed(self._children.copy()):
            self.discard(child)

    def _stop(self, child: Child) -> None:
        warden.stop([child.ward], lambda _ward: child.has_ended())
        child.process.wait()

    def _forget(self, child: Child) -> None:
        self._children.remove(child)
        self._tell_warden({"forget": child.ward.pid})

    def _tell_warden(self, message: dict[str, Any]) -> None:
        with suppress(BrokenPipeError):  # The warden was killed; the death signals still work.
            self._to_warden.write(json.dumps(message).encode() + b"\n")

    def _tails(self) -> str:
        return "\n".join(f"--- {child.name}\n{child.tail()}" for child in self._children if child.log)

    def _on_signal(self, signum: int, _frame: FrameType | None) -> None:
        self._end_signal = signum
        if self._may_raise:
            raise Interruption(signum)


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    """Return the end of a log, indented, or nothing when there is none."""
    return _last_lines(log.read_text(errors="replace"), lines) if log.exists() else ""


def _last_lines(text: str, lines: int = TAIL_LINES) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines()[-lines:])


def _die_with_parent(parent: int, signum: int) -> None:
    """Have the kernel send this process `signum` when its parent dies, and end now if it already has."""
    if _libc is None:
        return
    _libc.prctl(PR_SET_PDEATHSIG, int(signum), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)

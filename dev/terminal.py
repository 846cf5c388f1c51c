"""The output: one line per step, with seconds; animated on a terminal, plain elsewhere."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
WIDTH = 96  # When the terminal does not report its width.
QUIET_SECONDS = 2.0  # Without a terminal a step that takes longer than this is announced before it ends.


class Step:
    """One step on the screen. `note` is shown behind the title and may be changed while the step runs."""

    def __init__(self, title: str, *, live: bool) -> None:
        self.title, self.note = title, ""
        self._live, self._start, self._is_announced, self._frame = live, time.monotonic(), False, 0

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start

    def tick(self) -> None:
        """Show that the step is still running; called several times a second during a wait."""
        if self._live:
            self._frame = (self._frame + 1) % len(FRAMES)
            line = self._text()[: max(20, _columns() - 5)]  # A line that wraps cannot be overwritten.
            self._write(f"\r\033[2K  {FRAMES[self._frame]} {line}")
        elif not self._is_announced and self.seconds > QUIET_SECONDS:
            self._is_announced = True
            self._write(f"  . {self.title} ...\n")

    def end(self, mark: str) -> None:
        self._write(("\r\033[2K" if self._live else "") + f"  {mark} {self._text()}\n")

    def _text(self) -> str:
        text = f"{self.title}: {self.note}" if self.note else self.title
        return f"{self.seconds:6.1f} s  {text}"

    @staticmethod
    def _write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


class Screen:
    """Standard output. Steps are not nested; `doing` is the title of the last one."""

    def __init__(self) -> None:
        self.doing = "Start"
        self.is_terminal = sys.stdout.isatty()
        self._live = self.is_terminal and os.environ.get("TERM", "dumb") != "dumb"
        sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Show `title` with a counter until the block ends, then how long it took and whether it worked."""
        self.doing = title
        step = Step(title, live=self._live)
        if self._live:
            step.tick()
        try:
            yield step
        except BaseException:
            step.end("✗")
            raise
        step.end("✓")

    def say(self, text: str = "") -> None:
        print(text, flush=True)


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or WIDTH
    except OSError:
        return WIDTH

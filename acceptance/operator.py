"""The operator at the terminal: output and answers."""

import sys
from collections.abc import Callable
from typing import Protocol


class Operator(Protocol):
    @property
    def is_present(self) -> bool: ...
    def tell(self, text: str) -> None: ...
    def ask(self, question: str) -> str: ...


class TerminalOperator:
    """Shows lines through `say` and reads answers; absent when standard input is not a terminal."""

    def __init__(self, say: Callable[[str], object]) -> None:
        self._say = say

    @property
    def is_present(self) -> bool:
        return sys.stdin.isatty()

    def tell(self, text: str) -> None:
        self._say(text)

    def ask(self, question: str) -> str:
        """Return the operator's answer; empty when no operator is present."""
        return input(f"{question} ").strip() if self.is_present else ""


def is_yes(answer: str) -> bool:
    return answer.lower() in ("y", "yes")

"""The person at the terminal: what is said to them, and what they answer."""

import sys
from collections.abc import Callable
from typing import Protocol


class Person(Protocol):
    @property
    def is_there(self) -> bool: ...
    def tell(self, text: str) -> None: ...
    def ask(self, question: str) -> str: ...


class AtTheTerminal:
    """Somebody reading `say`'s lines and typing; nobody is there when standard input is no terminal."""

    def __init__(self, say: Callable[[str], object]) -> None:
        self._say = say

    @property
    def is_there(self) -> bool:
        return sys.stdin.isatty()

    def tell(self, text: str) -> None:
        self._say(text)

    def ask(self, question: str) -> str:
        """What the person typed; nothing when nobody is there."""
        return input(f"{question} ").strip() if self.is_there else ""


def said_yes(answer: str) -> bool:
    return answer.lower() in ("y", "yes")

"""Bar charts rendered by the server: no script, and the colours are the style sheet's."""

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT, FOOT = 720, 150, 18


@dataclass(frozen=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    kind: str
    title: str


@dataclass(frozen=True)
class Label:
    x: float
    text: str


@dataclass(frozen=True)
class Chart:
    """`title` is read out by a screen reader; every bar has its own amount as its title."""

    title: str
    bars: list[Bar]
    labels: list[Label]
    width: int = WIDTH
    height: int = HEIGHT + FOOT
    base: int = HEIGHT


@dataclass(frozen=True)
class Step:
    """One place on the chart: its name, and each kind's value with its description."""

    name: str
    values: Sequence[tuple[str, int, str]]


def bars(title: str, steps: Sequence[Step], *, label_every: int) -> Chart:
    """The bars of one step side by side, steps from left to right; negative values have no bar."""
    highest = max((value for step in steps for _, value, _ in step.values), default=0) or 1
    wide = WIDTH / max(len(steps), 1)
    rectangles, labels = [], []
    for at, step in enumerate(steps):
        each = wide * 0.8 / max(len(step.values), 1)
        for place, (kind, value, description) in enumerate(step.values):
            tall = round(max(value, 0) / highest * (HEIGHT - 6), 1)
            x = round(at * wide + wide * 0.1 + place * each, 1)
            rectangles.append(
                Bar(x, round(HEIGHT - tall, 1), round(each * 0.92, 1), tall, kind, f"{step.name}: {description}")
            )
        if at % label_every == 0:
            labels.append(Label(round(at * wide + wide * 0.1, 1), step.name))
    return Chart(title, rectangles, labels)

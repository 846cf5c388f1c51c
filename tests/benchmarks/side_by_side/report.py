"""The table: each cell's median and spread, and the ratios that were promised, each within its round."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median


@dataclass(frozen=True)
class Figure:
    """One cell of one round. Milliseconds; `statuses` counts the answers by their status."""

    per_second: float
    p50: float
    p99: float
    statuses: dict[str, int] = field(default_factory=dict)
    ran_out: bool = False

    def line(self, name: str) -> str:
        note = "  (ran out of requests)" if self.ran_out else ""
        return f"{name:34} {self.per_second:7.0f}/s  p50 {self.p50:6.1f} ms  p99 {self.p99:6.1f} ms{note}"


Cells = dict[str, list[Figure]]
OURS, HOT, THEIRS = "Veza, payment succeeded", "Veza, two sellers sell everything", "dj-stripe, no handler"
INVALID = "invalid signature"
# Sentence, numerator, denominator, what is compared, the goal, whether more is better.
RATIOS: tuple[tuple[str, str, str, Callable[[Figure], float], float, bool], ...] = (
    ("throughput / dj-stripe without a handler", OURS, THEIRS, lambda f: f.per_second, 2.5, True),
    ("throughput / dj-stripe payment_intent", OURS, "dj-stripe, payment_intent", lambda f: f.per_second, 5.0, True),
    ("throughput / PostgreSQL, the same rows", OURS, "PostgreSQL, the same rows", lambda f: f.per_second, 0.4, True),
    ("p99 / dj-stripe without a handler", OURS, THEIRS, lambda f: f.p99, 0.7, False),
    ("duplicate / dj-stripe duplicate", "Veza, duplicate", "dj-stripe, duplicate", lambda f: f.per_second, 3.0, True),
    (
        f"{INVALID} / dj-stripe's",
        f"Veza, {INVALID}",
        f"dj-stripe, {INVALID}",
        lambda f: f.per_second,
        4.5,
        True,
    ),
    ("two sellers / a thousand sellers", HOT, OURS, lambda f: f.per_second, 0.95, True),
)


def show(figures: Cells, wrong: list[str], file: Path) -> None:
    """Print the table, and write it as JSON to `file`."""
    print(f"\n{'':34} {'deliveries/s':>22} {'p50 ms':>8} {'p99 ms':>8}")
    for name, rounds in figures.items():
        rates = [figure.per_second for figure in rounds]
        spread = f"{median(rates):.0f} ({min(rates):.0f}-{max(rates):.0f})"
        p50, p99 = median(f.p50 for f in rounds), median(f.p99 for f in rounds)
        print(f"{name:34} {spread:>22} {p50:8.1f} {p99:8.1f}")
    print()
    ratios = {}
    for sentence, ours, theirs, value, goal, more in RATIOS:
        each = [value(a) / value(b) for a, b in zip(figures[ours], figures[theirs], strict=True)]
        met = median(each) >= goal if more else median(each) <= goal
        ratios[sentence] = {"rounds": each, "goal": goal, "met": met}
        sign = ">=" if more else "<="
        verdict = "met" if met else "NOT met"
        print(f"{sentence:42} {median(each):6.2f} ({min(each):.2f}-{max(each):.2f})  goal {sign} {goal:g}: {verdict}")
    print("\n".join(["", *(f"WRONG  {one}" for one in wrong)]) if wrong else "\nevery answer, count and cent is right")
    cells = {name: [asdict(figure) for figure in rounds] for name, rounds in figures.items()}
    file.write_text(json.dumps({"cells": cells, "ratios": ratios, "wrong": wrong}, indent=1))

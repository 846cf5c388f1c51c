"""One acceptance run: what it knows so far, how a step is taken, and what came of it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from acceptance.caller import Answer, Caller
from acceptance.person import Person
from acceptance.session_log import SessionLog
from acceptance.wishes import Wishes

PASS, FAIL, SKIPPED, NOT_RUN = "PASS", "FAIL", "SKIPPED", "NOT RUN"
TOO_MANY = 429
Seen = TypeVar("Seen")


class StepFailed(Exception):
    """A step did not hold; the text is what was observed instead."""

    def __init__(self, observed: str, trace: str = "") -> None:
        super().__init__(observed)
        self.observed, self.trace = observed, trace


@dataclass(frozen=True)
class Outcome:
    """What one step came to, for one row of the report."""

    status: str
    observed: str
    trace: str = ""


@dataclass(frozen=True)
class Step:
    number: int
    title: str
    take: "Callable[[Walk], Outcome]"


@dataclass
class Polling:
    """How it went while we waited: the worst answer, and how many were errors of the server."""

    asked: int = 0
    worst_milliseconds: int = 0
    server_errors: int = 0
    seconds: float = 0.0

    def count(self, answer: Answer) -> None:
        self.asked += 1
        self.worst_milliseconds = max(self.worst_milliseconds, answer.milliseconds)
        self.server_errors += answer.status >= 500 or answer.status == 0

    def __str__(self) -> str:
        worst, errors = f"{self.worst_milliseconds} ms", f"{self.server_errors} times 5xx or no answer"
        return f"{self.asked} polls, worst answer {worst}, {errors}"


class Walk:
    """The run's memory and its hands. What is remembered is in the log first, so that a resumed run knows it too."""

    def __init__(
        self,
        wishes: Wishes,
        *,
        log: SessionLog,
        person: Person,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self.wishes, self.log, self.person, self._pause = wishes, log, person, pause
        self.polling = Polling()
        self.buyer = Caller(wishes.base_url, log)
        self.staff = Caller(wishes.base_url, log)
        self.facts: dict[str, Any] = {line["name"]: line["value"] for line in log.of_kind("fact")}
        self.outcomes: dict[int, Outcome] = {
            line["number"]: Outcome(line["status"], line["observed"], line["trace"]) for line in log.of_kind("step")
        }

    def remember(self, name: str, value: Any) -> Any:
        """Keep a fact that later steps need. What was known already stays, and is returned."""
        if name not in self.facts:
            self.log.write("fact", name=name, value=value)
            self.facts[name] = value
        return self.facts[name]

    def take(self, step: Step) -> Outcome:
        """Take one step and write down what came of it. Whatever surprises is a failure, never a crash."""
        self.log.write("step_begins", number=step.number, title=step.title)
        try:
            outcome = step.take(self)
        except StepFailed as failure:
            outcome = Outcome(FAIL, failure.observed, failure.trace)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as surprise:
            outcome = Outcome(FAIL, f"an answer has another shape than was agreed: {surprise!r}")
        cleaned = Outcome(outcome.status, self.log.clean(outcome.observed), self.log.clean(outcome.trace))
        self.log.write(
            "step",
            number=step.number,
            title=step.title,
            status=cleaned.status,
            observed=cleaned.observed,
            trace=cleaned.trace,
        )
        self.outcomes[step.number] = cleaned
        return cleaned

    def poll(self, ask: Callable[[], Answer], found: Callable[[Answer], Seen | None], *, waiting_for: str) -> Seen:
        """Ask until `found` returns something; errors of the server are counted and waited out.

        Raises StepFailed when we are turned away or patience is over; `found` may raise it, too.
        """
        self.polling = Polling()
        started = time.monotonic()
        while True:
            answer = ask()
            self.polling.count(answer)
            self.polling.seconds = time.monotonic() - started
            seen = found(answer) if answer.status == 200 else None
            if seen is not None:
                return seen
            if 400 <= answer.status < 500 and answer.status != TOO_MANY:
                raise StepFailed(answer.in_short(), answer.request_id)
            if self.polling.seconds > self.wishes.patience_seconds:
                raise StepFailed(
                    f"no {waiting_for} after {self.polling.seconds:.0f} s ({self.polling}); last: {_last(answer)}",
                    answer.request_id,
                )
            self._pause(self.wishes.poll_seconds)


def expected(answer: Answer, *statuses: int) -> Answer:
    """The answer, if it has one of these statuses. Raises StepFailed."""
    if answer.status not in statuses:
        raise StepFailed(answer.in_short(), answer.request_id)
    return answer


def _last(answer: Answer) -> str:
    if isinstance(answer.body, dict) and answer.body.get("transfers"):
        seen = [" ".join((row["status"], row["waiting_for"], row["last_error"])) for row in answer.body["transfers"]]
        return f"transfers {'; '.join(text.strip() for text in seen)}"
    if isinstance(answer.body, dict) and answer.status == 200 and "status" in answer.body:
        return f"status {answer.body['status']}"
    return answer.in_short()

"""One acceptance run: its facts, its steps and their outcomes."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from acceptance.caller import Answer, Caller
from acceptance.operator import Operator
from acceptance.options import RunOptions
from acceptance.session_log import SessionLog

PASS, FAIL, SKIPPED, NOT_RUN = "PASS", "FAIL", "SKIPPED", "NOT RUN"
TOO_MANY = 429
Result = TypeVar("Result")


class StepFailure(Exception):
    """A step failed; the text is the observation."""

    def __init__(self, observation: str, trace: str = "") -> None:
        super().__init__(observation)
        self.observation, self.trace = observation, trace


@dataclass(frozen=True)
class Outcome:
    """The outcome of one step, for one row of the report."""

    status: str
    observation: str
    trace: str = ""


@dataclass(frozen=True)
class Step:
    number: int
    title: str
    take: "Callable[[Walk], Outcome]"


@dataclass
class Polling:
    """Statistics of a wait: the slowest answer, and the number of server errors."""

    polls: int = 0
    worst_milliseconds: int = 0
    server_errors: int = 0
    seconds: float = 0.0

    def count(self, answer: Answer) -> None:
        self.polls += 1
        self.worst_milliseconds = max(self.worst_milliseconds, answer.milliseconds)
        self.server_errors += answer.status >= 500 or answer.status == 0

    def __str__(self) -> str:
        worst, errors = f"{self.worst_milliseconds} ms", f"{self.server_errors} times 5xx or no answer"
        return f"{self.polls} polls, worst answer {worst}, {errors}"


class Walk:
    """The state of a run, and its callers. Facts are logged first, so that a resumed run has them too."""

    def __init__(
        self,
        options: RunOptions,
        *,
        log: SessionLog,
        operator: Operator,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self.options, self.log, self.operator, self._pause = options, log, operator, pause
        self.polling = Polling()
        self.buyer = Caller(options.base_url, log)
        self.staff = Caller(options.base_url, log)
        self.facts: dict[str, Any] = {line["name"]: line["value"] for line in log.of_kind("fact")}
        self.outcomes: dict[int, Outcome] = {
            line["number"]: Outcome(line["status"], line["observed"], line["trace"]) for line in log.of_kind("step")
        }

    def remember(self, name: str, value: Any) -> Any:
        """Store a fact for later steps and return it; an existing value stays."""
        if name not in self.facts:
            self.log.write("fact", name=name, value=value)
            self.facts[name] = value
        return self.facts[name]

    def take(self, step: Step) -> Outcome:
        """Take one step and log its outcome. An unexpected answer is a failure, never a crash."""
        self.log.write("step_begins", number=step.number, title=step.title)
        try:
            outcome = step.take(self)
        except StepFailure as failure:
            outcome = Outcome(FAIL, failure.observation, failure.trace)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            outcome = Outcome(FAIL, f"an answer has an unexpected shape: {error!r}")
        outcome = Outcome(outcome.status, self.log.mask(outcome.observation), self.log.mask(outcome.trace))
        self.log.write(
            "step",
            number=step.number,
            title=step.title,
            status=outcome.status,
            observed=outcome.observation,
            trace=outcome.trace,
        )
        self.outcomes[step.number] = outcome
        return outcome

    def poll(self, call: Callable[[], Answer], check: Callable[[Answer], Result | None], *, waiting_for: str) -> Result:
        """Call until `check` returns a result; server errors are counted and retried.

        Raises StepFailure when a call is refused or the wait is too long; `check` may raise it, too.
        """
        self.polling = Polling()
        start = time.monotonic()
        while True:
            answer = call()
            self.polling.count(answer)
            self.polling.seconds = time.monotonic() - start
            result = check(answer) if answer.status == 200 else None
            if result is not None:
                return result
            if 400 <= answer.status < 500 and answer.status != TOO_MANY:
                raise StepFailure(answer.summary(), answer.request_id)
            if self.polling.seconds > self.options.patience_seconds:
                wait = f"{self.polling.seconds:.0f} s ({self.polling})"
                raise StepFailure(f"no {waiting_for} after {wait}; last: {_describe_last(answer)}", answer.request_id)
            self._pause(self.options.poll_seconds)


def require_status(answer: Answer, *statuses: int) -> Answer:
    """Return the answer if it has one of these statuses. Raises StepFailure."""
    if answer.status not in statuses:
        raise StepFailure(answer.summary(), answer.request_id)
    return answer


def _describe_last(answer: Answer) -> str:
    if isinstance(answer.body, dict) and answer.body.get("transfers"):
        states = [" ".join((row["status"], row["waiting_for"], row["last_error"])) for row in answer.body["transfers"]]
        return f"transfers {'; '.join(text.strip() for text in states)}"
    if isinstance(answer.body, dict) and answer.status == 200 and "status" in answer.body:
        return f"status {answer.body['status']}"
    return answer.summary()

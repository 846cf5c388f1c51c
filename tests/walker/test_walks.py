"""Random walks over the real code, with the sandbox over HTTP as oracle. Walks of an odd seed are of people alone.

`WALKS=200` walks further, `WALK_FROM=1000` elsewhere; `WALK_SEED=7` walks one again, and `WALK_SHRINK=1` looks for the
shortest part of a failing walk that still fails. `WALK_STEPS="7 0:buy 3:pay"` repeats just these steps of walk 7.
"""

import os
import random
import traceback

import pytest
from django.core.cache import cache
from django.db import transaction

from tests.walker.fairness import unfairness
from tests.walker.heal import heal
from tests.walker.oracle import faults
from tests.walker.steps import BY_NAME, PEOPLE, STEPS
from tests.walker.world import open_shop

pytestmark = pytest.mark.django_db
WALKS = int(os.environ.get("WALKS", "20"))
LENGTH = int(os.environ.get("WALK_LENGTH", "25"))
FIRST = int(os.environ.get("WALK_FROM", "0"))
SEEDS = [int(os.environ["WALK_SEED"])] if os.environ.get("WALK_SEED") else list(range(FIRST, FIRST + WALKS))
Plan = list[tuple[int, str]]
# What every walk begins with: without sales nothing can happen to them.
OPENING = ("buy", "pay", "buy", "pay", "buy", "deliver_next", "work")


class Walk:
    """One walk from an empty world: `plan` is its steps, each with its place, which seeds what it does."""

    def __init__(self, sandbox, settings, seed: int) -> None:
        self.sandbox, self.settings, self.seed = sandbox, settings, seed
        self.plan: Plan = []
        self.log: list[str] = []

    def wander(self) -> list[str]:
        """Choose the steps as we go: one that has nothing to do is passed over."""
        # One step of people is often several: they buy, pay and give back in one.
        length = LENGTH * 2 // 3 if self.seed % 2 else LENGTH
        return self._tell(lambda world: [self._choose(world, place) for place in range(length)])

    def repeat(self, plan: Plan) -> list[str]:
        """The same steps again, or a part of them."""
        return self._tell(lambda world: [self._take(world, place, name) for place, name in plan])

    def _tell(self, walk) -> list[str]:
        self.plan, self.log = [], []
        self.sandbox.reset()
        self.sandbox.settings(webhooks_paused=True)
        cache.clear()
        undo = transaction.atomic()
        undo._from_testcase = True  # As Django's own tests: a durable block may begin in it.
        with undo:
            try:
                world = open_shop(self.sandbox, self.settings)
                walk(world)
                heal(world)
                return [*faults(world), *unfairness(world)]
            except Exception:
                return [traceback.format_exc()]
            finally:
                transaction.set_rollback(True)

    def _choose(self, world, place: int) -> None:
        rng = random.Random(f"{self.seed}:{place}")
        steps = PEOPLE if self.seed % 2 else STEPS
        names, weights = [step.name for step in steps], [step.weight for step in steps]
        for name in OPENING[place : place + 1] or rng.choices(names, weights, k=8):
            if self._take(world, place, name):
                return

    def _take(self, world, place: int, name: str) -> bool:
        world.rng = random.Random(f"{self.seed}:{place}:{name}")
        self.plan.append((place, name))
        result = BY_NAME[name].run(world)
        if result is None:
            self.plan.pop()
        else:
            self.log.append(f"{place:3} {name}: {result}")
        return result is not None

    def shrink(self, found: list[str]) -> list[str]:
        """Leave out whatever the failure does not need."""
        plan, place = list(self.plan), 0
        while place < len(plan):
            shorter = plan[:place] + plan[place + 1 :]
            if shorter_found := self.repeat(shorter):
                plan, found = shorter, shorter_found
            else:
                place += 1
        return self.repeat(plan) or found

    def report(self, found: list[str]) -> str:
        steps = " ".join(f"{place}:{name}" for place, name in self.plan)
        return "\n".join([*found, "", *self.log, "", f'WALK_STEPS="{self.seed} {steps}"'])


@pytest.mark.parametrize("seed", SEEDS)
def test_after_any_walk_the_books_are_the_providers_truth(sandbox, settings, seed):
    walk = Walk(sandbox, settings, seed)
    found = walk.wander()
    if found and os.environ.get("WALK_SHRINK"):
        found = walk.shrink(found)

    assert not found, walk.report(found)


@pytest.mark.skipif(not os.environ.get("WALK_STEPS"), reason="repeats the steps named by WALK_STEPS")
def test_these_steps_again(sandbox, settings):
    seed, *steps = os.environ["WALK_STEPS"].split()
    walk = Walk(sandbox, settings, int(seed))
    found = walk.repeat([(int(step.partition(":")[0]), step.partition(":")[2]) for step in steps])

    assert not found, walk.report(found)

"""The plans that are offered: staff make them, price them by a new version, and retire them.

None of this changes what subscribers pay, nor those who have agreed to change to the plan: see `price_changes`.
"""

from dataclasses import asdict, dataclass
from uuid import UUID

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction

from subscriptions.models import Plan
from veza.core import writes
from veza.core.causes import Cause
from veza.core.errors import NotAllowed
from veza.core.money import basis_points_of, format_amount, smallest_minor

log = structlog.get_logger(__name__)
# The most that one period of a plan may cost before tax, in minor units.
MAX_PRICE_MINOR = 10**9


class PriceNotPayable(NotAllowed):
    code = "price_not_payable"


class PlanNameTaken(NotAllowed):
    code = "plan_name_taken"
    http_status = 409


class PlanChanged(NotAllowed):
    code = "plan_changed"
    http_status = 409


@dataclass(frozen=True)
class PlanTerms:
    """What a version of a plan costs and includes. `price_minor` is before tax, in minor units of `currency`."""

    price_minor: int
    currency: str
    tax_basis_points: int
    interval: str
    trial_days: int
    can_sell_on_marketplace: bool
    can_distribute: bool


def create_plan(*, plan_id: UUID, name: str, terms: PlanTerms, cause: Cause) -> Plan:
    """Offer a plan under a new name. Asking again with the same id returns it.

    Raises PriceNotPayable, PlanNameTaken.
    """
    refuse_unpayable(terms)
    try:
        with transaction.atomic():
            if earlier := Plan.objects.filter(pk=plan_id).first():
                return earlier
            if Plan.objects.filter(name__iexact=name).exists():
                raise PlanNameTaken(f"There is a plan named {name}, now or in the past. Make a new version of it.")
            plan = Plan.objects.create(pk=plan_id, name=name, **asdict(terms))
    except IntegrityError as error:
        raise PlanNameTaken(f"A plan named {name} was made just now. Make a new version of it.") from error
    log.info("plan_created", plan=str(plan.pk), by=cause.actor)
    return plan


@writes.atomic()
def add_version(*, version_id: UUID, plan_id: UUID, terms: PlanTerms, cause: Cause) -> Plan:
    """Offer a new version of the plan instead of its newest one, `plan_id`, which is offered or was retired.

    Asking again with the same id returns it. Raises PriceNotPayable, PlanChanged.
    """
    refuse_unpayable(terms)
    if earlier := Plan.objects.filter(pk=version_id).first():
        return earlier
    plan = Plan.objects.locked().get(pk=plan_id)
    if not is_newest(plan):
        raise PlanChanged(f"{plan} has a newer version. Make the next one from that.")
    if plan.active and terms == terms_of(plan):
        raise PlanChanged(f"{plan} has these terms already.")
    version = Plan(pk=version_id, name=plan.name, version=plan.version + 1, **asdict(terms))
    writes.update(plan, active=False)
    writes.insert([version])
    log.info("plan_version_added", plan=str(version_id), by=cause.actor)
    return version


@writes.atomic()
def retire(*, plan_id: UUID, cause: Cause) -> Plan:
    """Offer the plan to no new subscriber. Whoever has it, or has agreed to change to it, keeps it.

    Raises PlanChanged.
    """
    plan = Plan.objects.locked().get(pk=plan_id)
    if not plan.active:
        raise PlanChanged(f"{plan} is not offered any more.")
    writes.update(plan, active=False)
    log.info("plan_retired", plan=str(plan_id), by=cause.actor)
    return plan


def is_newest(plan: Plan) -> bool:
    """Whether the plan has no later version."""
    return not Plan.objects.filter(name=plan.name, version__gt=plan.version).exists()


def terms_of(plan: Plan) -> PlanTerms:
    """The terms of one version."""
    return PlanTerms(**{name: getattr(plan, name) for name in PlanTerms.__dataclass_fields__})


def refuse_unpayable(terms: PlanTerms) -> None:
    """Refuse a price that could not be collected: its currency, its smallest part, too little or too much.

    Zero is a free plan. Raises PriceNotPayable.
    """
    currency, price_minor = terms.currency, terms.price_minor
    if currency not in settings.CURRENCIES:
        raise PriceNotPayable(f"{currency} is not sold in: choose one of {', '.join(settings.CURRENCIES)}.")
    if not 0 <= price_minor <= MAX_PRICE_MINOR:
        raise PriceNotPayable(f"The price is at most {format_amount(MAX_PRICE_MINOR, currency)}, and at least zero.")
    step_minor = smallest_minor(currency)
    if price_minor % step_minor:
        raise PriceNotPayable(f"The price has to be a multiple of {format_amount(step_minor, currency)}.")
    total_minor = price_minor + basis_points_of(price_minor, terms.tax_basis_points, currency)
    least_minor = settings.OFFER_MIN_PRICE.get(currency, 0)
    if 0 < total_minor < least_minor:
        least = format_amount(least_minor, currency)
        raise PriceNotPayable(f"With tax, a period costs at least {least}, the smallest payment, or nothing.")

"""The plans somebody may take."""

from uuid import UUID

from subscriptions.models import Plan
from veza.core.errors import NotFound


class PlanNotFound(NotFound):
    code = "plan_not_found"


def offered_plan(plan_id: UUID) -> Plan:
    """The plan, if it is offered. Raises PlanNotFound."""
    plan = Plan.objects.filter(pk=plan_id, active=True).first()
    if plan is None:
        raise PlanNotFound("There is no such plan.")
    return plan

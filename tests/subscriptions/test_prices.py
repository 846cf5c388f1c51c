"""What a subscriber agreed to is what they are charged, whatever becomes of the plan."""

import pytest
from django.db import IntegrityError, transaction

from subscriptions.models import Plan
from tests.subscriptions.subscribing import PlanFactory

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "change", [{"price_minor": 60_00}, {"tax_basis_points": 0}, {"currency": "USD"}, {"interval": "year"}]
)
def test_the_price_of_a_plan_never_changes(change):
    plan = PlanFactory()

    with pytest.raises(IntegrityError, match="write a new row instead"), transaction.atomic():
        Plan.objects.filter(pk=plan.pk).update(**change)


def test_one_version_of_a_plan_is_offered_at_a_time():
    PlanFactory(name="Studio")

    with pytest.raises(IntegrityError, match="one_active_plan_per_name"), transaction.atomic():
        PlanFactory(name="Studio", version=2)

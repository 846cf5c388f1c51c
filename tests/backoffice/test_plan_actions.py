"""Plans in the back-office: made, priced by a new version, retired, and announced to those who are subscribed."""

import pytest
from django.urls import reverse

from subscriptions.models import Plan, PriceChange
from tests.backoffice.conftest import browser, staff
from tests.subscriptions.repricing import next_version
from tests.subscriptions.subscribing import PlanFactory
from veza.backoffice.models import StaffAction
from veza.core.ids import new_id

pytestmark = pytest.mark.django_db
TERMS = {"price": "12.50", "currency": "EUR", "tax": "20", "interval": "month", "trial_days": "14"}
ADD = "admin:subscriptions_plan_add"


def answer(row_id, version="", **fields) -> dict[str, str]:
    sent = {"reason": "A new season.", "confirm": "yes", "submission_id": str(row_id), f"version_{row_id}": version}
    return {**TERMS, **sent, **fields}


def address(row, action: str) -> str:
    return reverse(f"admin:subscriptions_{row._meta.model_name}_action", args=[row.pk, action])


class Finance:
    """A member of the finance group, at their browser."""

    def __init__(self) -> None:
        self.client = browser(staff("finance"))

    def act(self, plan: Plan, action: str, **fields) -> str:
        """What the page says after the action was confirmed."""
        payload = answer(new_id(), **fields) | {f"version_{plan.pk}": str(plan.active)}
        return self.client.post(address(plan, action), payload, follow=True).content.decode()

    def create(self, **fields) -> str:
        fields = {"plan_name": "Studio", **fields}
        return self.client.post(reverse(ADD), answer(new_id(), **fields), follow=True).content.decode()


@pytest.fixture
def finance() -> Finance:
    return Finance()


def test_a_plan_is_made_with_its_terms(finance):
    page = finance.create()

    plan = Plan.objects.get()
    assert "Studio is offered now." in page
    assert (plan.name, plan.version, plan.total_minor, plan.trial_days, plan.active) == ("Studio", 1, 15_00, 14, True)
    assert StaffAction.objects.get().subject_id == str(plan.pk)


def test_making_a_plan_first_shows_what_will_happen(finance):
    payload = answer(new_id(), plan_name="Studio")
    del payload["confirm"]

    page = finance.client.post(reverse(ADD), payload)

    assert "Studio is offered at once. It costs 15.00 EUR a month, with tax." in page.content.decode()
    assert not Plan.objects.exists()


def test_a_plan_is_made_once_by_a_form_that_is_sent_twice(finance):
    client, payload = finance.client, answer(new_id(), plan_name="Studio")

    for _ in range(2):
        client.post(reverse(ADD), payload)

    assert Plan.objects.count() == 1


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"price": "0.10"}, "a period costs at least 0.50 EUR"),
        ({"price": "99999999"}, "The price is at most 10,000,000.00 EUR"),
        ({"price": "1.234"}, "at most 2 decimals"),
        ({"price": "-1"}, "greater than or equal to 0"),
        ({"currency": "USD"}, "Select a valid choice"),
        ({"tax": "101"}, "less than or equal to 100"),
        ({"trial_days": "366"}, "less than or equal to 365"),
        ({"interval": "week"}, "Select a valid choice"),
    ],
)
def test_a_price_that_cannot_be_paid_is_refused_in_the_form(finance, fields, error):
    assert error in finance.create(**fields)
    assert not Plan.objects.exists()


def test_a_name_is_taken_once_whatever_its_letters(finance):
    PlanFactory(name="studio", active=False)

    assert "There is a plan named Studio, now or in the past." in finance.create()


def test_a_new_version_is_offered_instead_of_the_old_one(finance):
    plan = PlanFactory(name="Studio")

    page = finance.act(plan, "add-version", price="0")

    new = Plan.objects.get(version=2)
    plan.refresh_from_db()
    assert "Studio, version 2 is offered now." in page
    assert (new.is_free, new.active, plan.active, plan.price_minor) == (True, True, False, 10_00)


def test_a_version_with_the_same_terms_is_refused(finance):
    plan = PlanFactory(trial_days=14)

    same = {"price": "10", "can_sell_on_marketplace": "on", "can_distribute": "on"}

    assert "has these terms already" in finance.act(plan, "add-version", **same)


def test_the_second_of_two_who_make_a_version_is_told_of_the_first(finance):
    plan = PlanFactory()
    next_version(plan, 20_00)

    assert "Reload its page" in finance.act(plan, "add-version")
    assert Plan.objects.count() == 2


def test_a_retired_plan_is_offered_again_by_a_new_version(finance):
    plan = PlanFactory()

    assert "is not offered any more." in finance.act(plan, "retire-plan")
    plan.refresh_from_db()
    assert "version 2 is offered now." in finance.act(plan, "add-version")


def test_a_price_is_announced_and_withdrawn(finance):
    plan = PlanFactory()
    next_version(plan, 20_00)
    plan.refresh_from_db()

    assert "The subscribers are told within minutes." in finance.act(plan, "announce-price")
    change = PriceChange.objects.get()
    payload = answer(new_id()) | {f"version_{change.pk}": "announced"}
    finance.client.post(address(change, "withdraw-price-change"), payload)

    change.refresh_from_db()
    assert change.status == "withdrawn"


def test_announcing_first_shows_the_old_price_the_new_one_and_the_notice(finance):
    plan = PlanFactory()
    next_version(plan, 20_00)

    page = finance.client.get(address(plan, "announce-price")).content.decode()

    assert "goes from 12.00 EUR to 24.00 EUR" in page
    assert "at least 30 days after their e-mail was sent" in page


def test_support_can_neither_make_plans_nor_price_them():
    plan, client = PlanFactory(), browser(staff("support"))

    statuses = [client.post(address(plan, action)).status_code for action in ("add-version", "announce-price")]
    assert [client.get(reverse(ADD)).status_code, *statuses] == [403, 403, 403]


def test_the_page_of_a_plan_shows_its_versions_and_price_changes(finance):
    plan = PlanFactory(name="Studio")
    next_version(plan, 20_00)
    plan.refresh_from_db()
    finance.act(plan, "announce-price")

    page = browser(staff("auditor")).get(reverse("admin:subscriptions_plan_change", args=[plan.pk])).content.decode()

    assert ("Studio, version 2" in page, "12.00 EUR to 24.00 EUR" in page) == (True, True)

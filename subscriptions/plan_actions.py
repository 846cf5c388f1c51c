"""What staff may do about plans and their prices."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django import forms
from django.conf import settings
from django.utils import timezone

from subscriptions import plans, price_changes
from subscriptions.models import Plan, PriceChange, Subscription
from subscriptions.plans import PlanTerms, is_newest, terms_of
from subscriptions.prices import announced_change
from subscriptions.states import LIVE, PriceChangeStatus
from veza.core.admin_actions import ActionForm, ActionRequest, AdminAction, minor_units
from veza.core.causes import Cause
from veza.core.errors import NotAllowed
from veza.core.money import exponent, format_amount

MANAGE, ANNOUNCE = "subscriptions.manage_plans", "subscriptions.announce_price"


class TermsForm(ActionForm):
    """The terms of a version of a plan. `terms` of its answers is a PlanTerms."""

    price = forms.DecimalField(min_value=0, max_digits=12, label="Price before tax", help_text="0: a free plan.")
    currency = forms.ChoiceField()
    tax = forms.DecimalField(min_value=0, max_value=100, decimal_places=2, label="Tax (%)")
    interval = forms.ChoiceField(choices=Plan.Interval.choices, label="Renews every")
    trial_days = forms.IntegerField(min_value=0, max_value=365, label="Days of trial", help_text="0: no trial.")
    can_sell_on_marketplace = forms.BooleanField(required=False, label="Includes selling on the marketplace")
    can_distribute = forms.BooleanField(required=False, label="Includes distribution")
    field_order: tuple[str, ...] = ("price", "currency", "tax", "interval", "trial_days")

    def __init__(self, data: Any, initial: Mapping[str, Any]) -> None:
        super().__init__(data, initial=dict(initial))
        field = self.fields["currency"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(currency, currency) for currency in settings.CURRENCIES]

    def clean(self) -> dict[str, Any]:
        answers = super().clean() or self.cleaned_data
        if self.errors:
            return answers
        try:
            return answers | {"terms": _terms(answers)}
        except forms.ValidationError as error:
            self.add_error("price", error)
            return answers


def _terms(answers: Mapping[str, Any]) -> PlanTerms:
    """The terms that were entered. Raises ValidationError for a price that cannot be paid."""
    currency, price = answers["currency"], answers["price"]
    terms = PlanTerms(
        price_minor=minor_units(price, currency) if price else 0,
        currency=currency,
        tax_basis_points=int(answers["tax"] * 100),
        **{name: answers[name] for name in _AS_ENTERED},
    )
    try:
        plans.refuse_unpayable(terms)
    except NotAllowed as refusal:
        raise forms.ValidationError(refusal.text) from refusal
    return terms


_AS_ENTERED = ("interval", "trial_days", "can_sell_on_marketplace", "can_distribute")


def _initial(terms: PlanTerms) -> dict[str, Any]:
    price = Decimal(terms.price_minor).scaleb(-exponent(terms.currency))
    tax = Decimal(terms.tax_basis_points) / 100
    entered = {name: getattr(terms, name) for name in _AS_ENTERED}
    return {"price": price, "currency": terms.currency, "tax": tax, **entered}


class PlanForm(TermsForm):
    plan_name = forms.CharField(max_length=60, label="Name")
    field_order = ("plan_name", *TermsForm.field_order)


def _price_of(terms: PlanTerms) -> str:
    if terms.price_minor == 0:
        return "nothing"
    return f"{format_amount(Plan(**vars(terms)).total_minor, terms.currency)} a {terms.interval}, with tax"


class CreatePlan(AdminAction[Plan]):
    """Begins on no row: the plan gets the id of the submission."""

    label, permission, for_selection = "Create plan", MANAGE, False

    def is_available(self, row: Plan) -> bool:
        return not Plan.objects.filter(pk=row.pk).exists()

    def version_of(self, row: Plan) -> str:
        return ""

    def form(self, row: Plan, data: Mapping[str, Any] | None = None) -> ActionForm:
        return PlanForm(data, {"trial_days": 0, "tax": 0})

    def preview(self, row: Plan, *, params: ActionRequest) -> list[str]:
        if "terms" not in params.answers:
            return ["The plan is offered at once. Its price can only change by a new version."]
        price = _price_of(params.answers["terms"])
        return [f"{params.answers['plan_name']} is offered at once. It costs {price}."]

    def perform(self, row: Plan, *, cause: Cause, params: ActionRequest) -> str:
        name, terms = params.answers["plan_name"], params.answers["terms"]
        plan = plans.create_plan(plan_id=row.pk, name=name, terms=terms, cause=cause)
        return f"{plan} is offered now."


class _OfPlan(AdminAction[Plan]):
    for_selection = False

    def version_of(self, row: Plan) -> str:
        return f"{row.active}"


class AddVersion(_OfPlan):
    """Another price or other features, for new subscribers."""

    label, permission = "Make new version", MANAGE

    def is_available(self, row: Plan) -> bool:
        return is_newest(row)

    def form(self, row: Plan, data: Mapping[str, Any] | None = None) -> ActionForm:
        return TermsForm(data, _initial(terms_of(row)))

    def preview(self, row: Plan, *, params: ActionRequest) -> list[str]:
        price = f" at {_price_of(params.answers['terms'])}" if "terms" in params.answers else ""
        return [
            f"New subscribers get version {row.version + 1}{price}, from now on.",
            f"{_subscribers_of(row)} at their price. “Announce price” on this version changes that.",
        ]

    def perform(self, row: Plan, *, cause: Cause, params: ActionRequest) -> str:
        terms = params.answers["terms"]
        plan = plans.add_version(version_id=params.id, plan_id=row.pk, terms=terms, cause=cause)
        return f"{plan} is offered now."


class RetirePlan(_OfPlan):
    label, permission = "Retire plan", MANAGE

    def is_available(self, row: Plan) -> bool:
        return row.active

    def preview(self, row: Plan, *, params: ActionRequest) -> list[str]:
        coming = Subscription.objects.filter(next_plan=row, status__in=LIVE).count()
        return [
            f"{row} is not offered to new subscribers any more.",
            f"{_subscribers_of(row)} at their price, and {coming} who agreed to change to it may still do so.",
        ]

    def perform(self, row: Plan, *, cause: Cause, params: ActionRequest) -> str:
        return f"{plans.retire(plan_id=row.pk, cause=cause)} is not offered any more."


class AnnouncePrice(_OfPlan):
    """The price of the version that is offered now, for the subscribers of an older one."""

    label, permission = "Announce price", ANNOUNCE

    def is_available(self, row: Plan) -> bool:
        return price_changes.newer_version(row) is not None and announced_change(row) is None

    def preview(self, row: Plan, *, params: ActionRequest) -> list[str]:
        new = price_changes.newer_version(row)
        if new is None:
            return ["There is no newer version to announce: this will be refused."]
        change = PriceChange(plan=row, new_plan=new)
        count = price_changes.untold_subscribers(change).count()
        notice: timedelta = settings.PRICE_CHANGE_NOTICE
        when = f"at least {notice.days} days after their e-mail was sent" if change.is_raise else "that is not near"
        return [
            f"{count} subscribers are told by e-mail that {row.name} goes from {price_changes.in_words(change)}.",
            f"Each pays the new price from the first renewal {when}, unless they cancel before.",
            "Until then it can be withdrawn, which they are told as well.",
        ]

    def perform(self, row: Plan, *, cause: Cause, params: ActionRequest) -> str:
        price_changes.announce(price_change_id=params.id, plan_id=row.pk, cause=cause, at=timezone.now())
        return "The subscribers are told within minutes."


class WithdrawPriceChange(AdminAction[PriceChange]):
    label, permission, for_selection = "Withdraw price change", ANNOUNCE, False

    def is_available(self, row: PriceChange) -> bool:
        return row.status == PriceChangeStatus.ANNOUNCED

    def preview(self, row: PriceChange, *, params: ActionRequest) -> list[str]:
        return [
            f"No further renewal goes from {price_changes.in_words(row)}. Who pays the new price goes on with it.",
            "Every other subscriber who was told of it is told that their price stays.",
        ]

    def perform(self, row: PriceChange, *, cause: Cause, params: ActionRequest) -> str:
        price_changes.withdraw(price_change_id=row.pk, cause=cause, at=timezone.now())
        return "The price change is withdrawn. The subscribers who were told of it are told within minutes."


def _subscribers_of(plan: Plan) -> str:
    count = Subscription.objects.filter(plan=plan, status__in=LIVE).count()
    return f"The {count} subscribers of this version go on"

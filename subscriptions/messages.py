"""The e-mails about subscriptions: what each says."""

from datetime import datetime, timedelta
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext as _

from subscriptions.models import Plan, Subscription
from subscriptions.states import RENEWING
from veza.core.email.content import Block, Content, Line, Notice, Outdated, Paragraph, Table
from veza.core.email.formats import day, money, percent
from veza.core.email.messages import Audience, Message
from veza.core.money import basis_points_of


def renewal_occasion(subscription: Subscription) -> str:
    """What is announced: a renewal at this time, to this plan, in this way. If one changes, it is announced again."""
    end_at, plan_id = subscription.period_end_at, subscription.next_plan_id or subscription.plan_id
    way = "charge" if subscription.hyperswitch_payment_method_id else "page"
    return f"{end_at.isoformat() if end_at else ''} {plan_id} {way}"


def _renewal(subscription_id: UUID, occasion: str, /) -> Content | Outdated:
    subscription = Subscription.objects.select_related("plan", "next_plan").get(pk=subscription_id)
    if subscription.status not in RENEWING or subscription.cancel_at_period_end:
        return Outdated("The subscription does not renew any more.")
    if subscription.period_end_at is None or renewal_occasion(subscription) != occasion:
        return Outdated("The plan, the period or the payment method has changed since.")
    has_method = bool(subscription.hyperswitch_payment_method_id)
    return _compose_renewal(
        subscription.next_plan or subscription.plan, subscription.period_end_at, has_method=has_method
    )


def _compose_renewal(plan: Plan, renews_at: datetime, *, has_method: bool) -> Content:
    tax_minor = basis_points_of(plan.price_minor, plan.tax_basis_points)
    total = money(plan.price_minor + tax_minor, plan.currency)
    return Content(
        subject_line=_("Your subscription to %(plan)s renews on %(day)s") % {"plan": plan.name, "day": day(renews_at)},
        headline=_("Your subscription renews soon"),
        amount=total,
        blocks=[
            Paragraph(
                _("On %(day)s your subscription to %(plan)s renews for %(total)s.")
                % {"day": day(renews_at), "plan": plan.name, "total": total}
            ),
            Table(
                [
                    Line(_("Price before tax"), money(plan.price_minor, plan.currency)),
                    Line(
                        _("Tax (%(rate)s)") % {"rate": percent(plan.tax_basis_points)}, money(tax_minor, plan.currency)
                    ),
                ],
                [Line(_("Total"), total)],
            ),
            _method(has_method=has_method),
            Paragraph(_("To stop the renewal, cancel your subscription before that day.")),
        ],
    )


def _method(*, has_method: bool) -> Block:
    if has_method:
        return Paragraph(_("It will be charged to your saved payment method."))
    return Notice(_("You have no saved payment method: we will ask you to pay."), "bad")


def _sample_plan() -> Plan:
    return Plan(name="Studio", price_minor=12_00, currency="EUR", tax_basis_points=2_000)


RENEWAL_ANNOUNCED = Message(
    "renewal_announced",
    Audience.BUYER,
    "A period that will be charged ends soon (SUBSCRIPTION_REMINDER_BEFORE).",
    _renewal,
    lambda: _compose_renewal(_sample_plan(), timezone.now() + timedelta(days=3), has_method=True),
)
MESSAGES = (RENEWAL_ANNOUNCED,)

"""A new price that is announced to a subscriber, and one that is withdrawn."""

from datetime import datetime, timedelta
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext as _

from subscriptions.chargebacks import are_charges_stopped
from subscriptions.messages.samples import sample_plan
from subscriptions.messages.wording import price_table
from subscriptions.models import Plan, PriceChange, Subscription
from subscriptions.prices import PRICE_CHANGE_ANNOUNCED, first_renewal, notice_of
from subscriptions.states import ENTITLING, PriceChangeStatus
from veza.core.email.content import Block, Content, Notice, Outdated, Paragraph
from veza.core.email.formats import day, money
from veza.core.email.messages import Audience, Message

# Between composing an e-mail and sending it: the renewal that it names is still far enough away.
_MARGIN = timedelta(minutes=5)


def _announced(subscription_id: UUID, occasion: str, /) -> Content | Outdated:
    subscription, change = _read(subscription_id, occasion)
    if change.status != PriceChangeStatus.ANNOUNCED:
        return Outdated("The price change was withdrawn.")
    if subscription.status not in ENTITLING or subscription.plan_id != change.plan_id:
        return Outdated("The subscription has ended, or has another plan.")
    from_at = first_renewal(subscription, not_before=timezone.now() + notice_of(change) + _MARGIN)
    assert from_at is not None, "a subscription that gives access has a period"
    is_charged = bool(subscription.hyperswitch_payment_method_id) and not are_charges_stopped(subscription)
    return _compose_announced(change.plan, change.new_plan, from_at, is_charged=is_charged)


def _compose_announced(old: Plan, new: Plan, from_at: datetime, *, is_charged: bool) -> Content:
    old_total, new_total = money(old.total_minor, old.currency), money(new.total_minor, new.currency)
    about = {"plan": new.name, "day": day(from_at), "old": old_total, "new": new_total}
    blocks: list[Block] = [
        Paragraph(
            _("From your renewal on %(day)s your subscription to %(plan)s costs %(new)s instead of %(old)s.") % about
        ),
        price_table(new, new.price_minor, new.tax_minor),
    ]
    if not new.is_free and not is_charged:
        blocks.append(Notice(_("We will not charge you by ourselves: when it renews, we will ask you to pay.")))
    if new.total_minor > old.total_minor:
        leave = _("If you do not want this, cancel your subscription before that day: until then nothing changes.")
        blocks.append(Paragraph(leave))
    return Content(
        subject_line=_("The price of %(plan)s changes on %(day)s") % about,
        headline=_("The price of your subscription changes"),
        amount=new_total,
        blocks=blocks,
    )


def _withdrawn(subscription_id: UUID, occasion: str, /) -> Content | Outdated:
    subscription, change = _read(subscription_id, occasion)
    if subscription.status not in ENTITLING or subscription.plan_id != change.plan_id:
        return Outdated("The subscription has ended, or has another plan.")
    return _compose_withdrawn(change.plan)


def _compose_withdrawn(plan: Plan) -> Content:
    about = {"plan": plan.name, "total": money(plan.total_minor, plan.currency)}
    return Content(
        subject_line=_("The price of %(plan)s does not change") % about,
        headline=_("The price of your subscription does not change"),
        amount=about["total"],
        blocks=[
            Paragraph(
                _("We told you of a new price of %(plan)s. We have withdrawn it: you keep paying %(total)s.") % about
            ),
        ],
    )


def _read(subscription_id: UUID, occasion: str) -> tuple[Subscription, PriceChange]:
    subscription = Subscription.objects.select_related("plan").get(pk=subscription_id)
    return subscription, PriceChange.objects.select_related("plan", "new_plan").get(pk=occasion)


def _sample_announced() -> Content:
    new = Plan(name="Studio", version=2, price_minor=15_00, currency="EUR", tax_basis_points=2_000)
    return _compose_announced(sample_plan(), new, timezone.now() + timedelta(days=31), is_charged=True)


PRICE_CHANGE = Message(
    PRICE_CHANGE_ANNOUNCED,
    Audience.BUYER,
    "Staff announced another price to the subscribers of a plan (PRICE_CHANGE_NOTICE).",
    _announced,
    _sample_announced,
    needs_open_account=True,
)
PRICE_CHANGE_WITHDRAWN = Message(
    "price_change_withdrawn",
    Audience.BUYER,
    "A price that was announced to a subscriber was withdrawn before they paid it.",
    _withdrawn,
    lambda: _compose_withdrawn(sample_plan()),
    needs_open_account=True,
)

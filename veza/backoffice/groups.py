"""The permissions of staff: one table, applied after every migrate."""

from collections.abc import Mapping
from typing import Any

from django.apps import AppConfig, apps
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType

# The permissions of actions: the model that each is listed under, and what it allows.
PERMISSIONS: Mapping[str, tuple[str, str]] = {
    "core.close_case": ("core.reviewitem", "May close a review item with a note"),
    "core.resend_email": ("core.email", "May resend an e-mail"),
    "core.close_account": ("core.user", "May close an account, and reopen it"),
    "core.set_maintenance": ("core.platformsetting", "May turn maintenance on and off"),
    "payments.ask_provider": ("payments.payment", "May refresh from Hyperswitch or Stripe"),
    "payments.replay_delivery": ("payments.webhookdelivery", "May replay a stored webhook"),
    "payments.refund_for_buyer": ("payments.refund", "May refund an order for its buyer"),
    "payments.resolve_mismatch": ("payments.payment", "May decide about a payment of a wrong amount or in doubt"),
    "payments.adopt_refund": ("payments.refund", "May import an external refund, or mark it as expected"),
    "payments.book_bank_refund": ("payments.refund", "May book a refund that was paid from our bank account"),
    "payments.write_off": ("payments.posting", "May write off money that cannot be recovered"),
    "marketplace.cancel_order": ("marketplace.order", "May cancel an unpaid order"),
    "marketplace.get_payment_link": ("marketplace.order", "May get a buyer's payment link"),
    "marketplace.take_off_sale": ("marketplace.product", "May take a work off sale, and put it back"),
    "marketplace.suspend_seller": ("marketplace.sellerrestriction", "May suspend a seller, and release them"),
    "marketplace.hold_money": ("marketplace.sellerrestriction", "May hold a seller's money, and end the hold"),
    "connect.retry_transfer": ("connect.sellertransfer", "May retry a transfer"),
    "connect.retry_reversal": ("connect.sellertransfer", "May retry a reversal"),
    "connect.set_payout_after": ("connect.connectedaccount", "May set how old a seller's sales must be for a payout"),
    "connect.write_off": ("connect.sellertransfer", "May write off a seller's debt"),
    "connect.pay_out": ("connect.sellerpayout", "May pay out for a seller whose account is closed"),
    "subscriptions.complete_subscription": ("subscriptions.subscription", "May get a subscriber's payment link"),
    "subscriptions.expire_subscription": ("subscriptions.subscription", "May end a subscription"),
    "subscriptions.resume_charges": ("subscriptions.subscription", "May charge a subscriber again after a dispute"),
    "subscriptions.manage_plans": ("subscriptions.plan", "May make, price and retire plans"),
    "subscriptions.announce_price": (
        "subscriptions.pricechange",
        "May announce a price to subscribers, or withdraw it",
    ),
    "backoffice.export_rows": ("backoffice.staffaction", "May export lists as files"),
}
# What every group may see.
VIEWABLE = (
    "core.user",
    "core.email",
    "core.statuschange",
    "core.providercall",
    "core.reviewitem",
    "core.heartbeat",
    "core.platformsetting",
    "payments.payment",
    "payments.refund",
    "payments.dispute",
    "payments.webhookdelivery",
    "payments.posting",
    "subscriptions.plan",
    "subscriptions.pricechange",
    "subscriptions.subscription",
    "subscriptions.subscriptioninvoice",
    "subscriptions.unpaidsubscriptionaudit",
    "subscriptions.distributionsubmission",
    "marketplace.order",
    "marketplace.refundapplication",
    "marketplace.license",
    "marketplace.product",
    "marketplace.sellerrestriction",
    "connect.sellertransfer",
    "connect.transferreversal",
    "connect.sellerpayout",
    "connect.connectedaccount",
    "backoffice.staffaction",
)
# What each group may do besides. Support talks to buyers, finance decides about money, ops keeps things running, and
# an auditor sees and exports everything, but changes nothing.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "support": (
        "payments.ask_provider",
        "payments.refund_for_buyer",
        "marketplace.cancel_order",
        "marketplace.get_payment_link",
        "marketplace.take_off_sale",
        "marketplace.suspend_seller",
        "core.close_account",
        "subscriptions.complete_subscription",
        "subscriptions.expire_subscription",
        "subscriptions.resume_charges",
        "core.close_case",
        "core.resend_email",
    ),
    "finance": (
        "payments.ask_provider",
        "payments.refund_for_buyer",
        "payments.resolve_mismatch",
        "payments.adopt_refund",
        "payments.book_bank_refund",
        "marketplace.suspend_seller",
        "marketplace.hold_money",
        "connect.retry_transfer",
        "connect.retry_reversal",
        "connect.set_payout_after",
        "connect.write_off",
        "connect.pay_out",
        "payments.write_off",
        "subscriptions.manage_plans",
        "subscriptions.announce_price",
        "core.close_case",
        "backoffice.export_rows",
    ),
    "ops": (
        "payments.ask_provider",
        "payments.replay_delivery",
        "connect.retry_transfer",
        "connect.retry_reversal",
        "core.close_case",
        "core.resend_email",
        "core.set_maintenance",
        "backoffice.export_rows",
    ),
    "auditor": ("backoffice.export_rows",),
}


def apply_groups(sender: AppConfig, **_about: Any) -> None:
    """Set the groups to what the table says. Running it again changes nothing; members stay in their groups."""
    for app in apps.get_app_configs():
        if app.models_module is not None:
            create_permissions(app, verbosity=0)
    ids = _permissions()
    for name, permissions in GROUPS.items():
        group, _ = Group.objects.get_or_create(name=name)
        target = {ids[_view(model)] for model in VIEWABLE} | {ids[act] for act in permissions}
        if set(group.permissions.values_list("pk", flat=True)) != target:
            group.permissions.set(target)


def _permissions() -> dict[str, int]:
    """Every permission by its full name; those of the table are created where no model declares them."""
    ids = _all()
    for name, (model, label) in PERMISSIONS.items():
        if name not in ids:
            content_type = ContentType.objects.get_by_natural_key(*model.split("."))
            Permission.objects.create(content_type=content_type, codename=name.partition(".")[2], name=label)
    return _all()


def _all() -> dict[str, int]:
    rows = Permission.objects.values_list("content_type__app_label", "codename", "pk")
    return {f"{app}.{codename}": pk for app, codename, pk in rows}


def _view(model: str) -> str:
    app, _, name = model.partition(".")
    return f"{app}.view_{name}"

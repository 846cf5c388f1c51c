"""Who of the staff may do what: one table, made true after every migrate."""

from collections.abc import Mapping
from typing import Any

from django.apps import AppConfig, apps
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType

# A permission that an action asks for, the model it is listed under, and what it lets a person do.
PERMISSIONS: Mapping[str, tuple[str, str]] = {
    "core.close_case": ("core.reviewitem", "May close a case with a note"),
    "core.set_maintenance": ("core.platformsetting", "May turn maintenance on and off"),
    "payments.ask_provider": ("payments.payment", "May ask the provider about it now"),
    "payments.replay_delivery": ("payments.webhookdelivery", "May have a stored delivery handled again"),
    "payments.refund_for_buyer": ("payments.refund", "May refund an order for its buyer"),
    "payments.resolve_mismatch": ("payments.payment", "May accept or give back a payment of a wrong amount"),
    "payments.adopt_refund": ("payments.refund", "May take in, or dismiss, a refund made at the provider"),
    "payments.write_off": ("payments.posting", "May take money that cannot be recovered as our loss"),
    "marketplace.cancel_order": ("marketplace.order", "May cancel an unpaid order"),
    "connect.retry_transfer": ("connect.sellertransfer", "May have a transfer tried again"),
    "connect.retry_reversal": ("connect.sellertransfer", "May have a reversal tried again"),
    "connect.write_off": ("connect.sellertransfer", "May take a seller's debt as our loss"),
    "subscriptions.complete_subscription": ("subscriptions.subscription", "May get somebody's payment page"),
    "subscriptions.expire_subscription": ("subscriptions.subscription", "May end somebody's subscription"),
    "backoffice.export_rows": ("backoffice.staffaction", "May export lists as files"),
}
# What everybody in the back-office may look at.
LOOK_AT = (
    "core.user",
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
    "subscriptions.subscription",
    "subscriptions.subscriptioninvoice",
    "subscriptions.unpaidsubscriptionaudit",
    "subscriptions.distributionsubmission",
    "marketplace.order",
    "marketplace.license",
    "marketplace.product",
    "connect.sellertransfer",
    "connect.transferreversal",
    "connect.sellerpayout",
    "connect.connectedaccount",
    "backoffice.staffaction",
)
# Who may do what besides. Support talks to buyers, finance decides about money, ops keeps things running, and an
# auditor looks at everything and takes it along, but touches nothing.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "support": (
        "payments.ask_provider",
        "payments.refund_for_buyer",
        "marketplace.cancel_order",
        "subscriptions.complete_subscription",
        "subscriptions.expire_subscription",
        "core.close_case",
    ),
    "finance": (
        "payments.ask_provider",
        "payments.refund_for_buyer",
        "payments.resolve_mismatch",
        "payments.adopt_refund",
        "connect.retry_transfer",
        "connect.retry_reversal",
        "connect.write_off",
        "payments.write_off",
        "core.close_case",
        "backoffice.export_rows",
    ),
    "ops": (
        "payments.ask_provider",
        "payments.replay_delivery",
        "connect.retry_transfer",
        "connect.retry_reversal",
        "core.close_case",
        "core.set_maintenance",
        "backoffice.export_rows",
    ),
    "auditor": ("backoffice.export_rows",),
}


def apply_groups(sender: AppConfig, **_about: Any) -> None:
    """Make the groups what the table says. Running it again changes nothing; people in the groups stay in them."""
    for app in apps.get_app_configs():
        if app.models_module is not None:
            create_permissions(app, verbosity=0)
    known = _permissions()
    for name, row_actions in GROUPS.items():
        group, _ = Group.objects.get_or_create(name=name)
        wanted = {known[_view(model)] for model in LOOK_AT} | {known[act] for act in row_actions}
        if set(group.permissions.values_list("pk", flat=True)) != wanted:
            group.permissions.set(wanted)


def _permissions() -> dict[str, int]:
    """Every permission by the name it is asked for; those of the table are made where no model declares them."""
    known = _all()
    for name, (model, words) in PERMISSIONS.items():
        if name not in known:
            about = ContentType.objects.get_by_natural_key(*model.split("."))
            Permission.objects.create(content_type=about, codename=name.partition(".")[2], name=words)
    return _all()


def _all() -> dict[str, int]:
    rows = Permission.objects.values_list("content_type__app_label", "codename", "pk")
    return {f"{app}.{codename}": pk for app, codename, pk in rows}


def _view(model: str) -> str:
    app, _, name = model.partition(".")
    return f"{app}.view_{name}"

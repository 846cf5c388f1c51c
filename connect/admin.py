from collections.abc import Sequence
from typing import Any, cast

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.utils.html import format_html

from connect import maturity
from connect.admin_actions import (
    DisconnectAccount,
    PayOutForSeller,
    ReissueTransfer,
    RetryReversal,
    RetryTransfer,
    SetPayoutAfter,
    WriteOffDebt,
)
from connect.models import ConnectedAccount, SellerPayout, SellerTransfer, SetOff, TransferReversal
from connect.refresh_actions import RefreshAccount, RefreshPayout, RefreshReversal, RefreshTransfer
from connect.states import TRANSFER_UNSENT, TransferStatus
from connect.stripe.restrictions import describe
from veza.core.admin_base import HistoryAdmin, MoneySite, ReadOnlyAdmin, others
from veza.core.admin_columns import (
    NOTHING,
    Panel,
    age,
    amount,
    column,
    moment,
    money,
    panel,
    person,
    short_id,
    status,
    when,
)
from veza.core.admin_lists import AgeFilter, AmountFilter, CurrencyFilter, SellerFilter, StuckFilter
from veza.core.words import format_time


@column("next")
def transfer_next(row: SellerTransfer) -> Any:
    if row.status == TransferStatus.PERMANENTLY_FAILED:
        return "failed, needs review"
    if row.next_retry_at is None:
        return NOTHING
    verb = "reversed" if row.status == TransferStatus.REVERSAL_PENDING else "sent"
    waits = f", waiting for {row.get_waiting_for_display().replace('_', ' ')}" if row.waiting_for else ""
    return format_html("{} {}{}", verb, when(row.next_retry_at), waits)


@admin.register(SellerTransfer)
class SellerTransferAdmin(HistoryAdmin):
    list_display = (short_id, person("seller"), amount, status, age, money("reversed"), transfer_next)
    list_filter = ("status", StuckFilter, AgeFilter, SellerFilter, AmountFilter, CurrencyFilter, "waiting_for")
    list_select_related = ("seller",)
    search_keys = ("id", "id__endswith", "order", "stripe_transfer_id", "stripe_reversal_id", "seller__email")
    facts = (
        person("seller"),
        amount,
        money("reversal_target", "to be reversed"),
        money("reversed"),
        age,
        transfer_next,
    )
    row_actions = (RetryTransfer(), RetryReversal(), RefreshTransfer(), WriteOffDebt(), ReissueTransfer())
    empty = "No transfer matches. Transfers are planned when an order is completed."

    def panels(self, row: SellerTransfer) -> Sequence[Panel]:
        """What was withheld from it for another order, and what later transfers paid of it."""
        own = SetOff.objects.filter(Q(transfer=row) | Q(debt=row))
        set_offs = own.select_related("transfer", "debt").order_by("pk")
        columns = [
            column("withheld from")(lambda each: each.transfer),
            column("owed for")(lambda each: each.debt),
            amount,
            money("unwound", "owed again"),
        ]
        offsets = panel("Offset against a debt", set_offs, columns)
        return [offsets] if offsets.lines else []

    def stuck(self, rows: "QuerySet[SellerTransfer]") -> "QuerySet[SellerTransfer]":
        """Failed, retried already, or waiting for an event."""
        in_progress = [*TRANSFER_UNSENT, TransferStatus.REVERSAL_PENDING]
        slow = Q(status__in=in_progress) & (Q(retry_count__gt=0) | ~Q(waiting_for=""))
        return rows.filter(Q(status=TransferStatus.PERMANENTLY_FAILED) | slow)


@admin.register(TransferReversal)
class TransferReversalAdmin(HistoryAdmin):
    list_display = (short_id, person("transfer.seller", "seller"), amount, status, age, "stripe_reversal_id")
    list_filter = ("status", AgeFilter, CurrencyFilter)
    list_select_related = ("transfer__seller",)
    search_keys = ("id", "transfer", "correlation_id", "stripe_reversal_id")
    facts = (person("transfer.seller", "seller"), amount, age)
    row_actions = (RefreshReversal(),)
    empty = "No transfer has been reversed yet."


@column("at Stripe")
def at_stripe(row: ConnectedAccount) -> str:
    if not row.stripe_account_id:
        return NOTHING
    return describe(row.transfers_status or ("active" if row.transfers_active else ""), row.disabled_reason)


@admin.register(ConnectedAccount)
class ConnectedAccountAdmin(ReadOnlyAdmin):
    list_display = (
        person("seller"),
        "stripe_account_id",
        "transfers_active",
        "payouts_enabled",
        "country",
        moment("updated_at"),
    )
    list_filter = ("transfers_active", "payouts_enabled", AgeFilter)
    list_select_related = ("seller",)
    search_keys = ("id", "stripe_account_id", "seller__email")
    facts = (person("seller"), at_stripe, moment("updated_at"))
    row_actions = (RefreshAccount(), SetPayoutAfter(), DisconnectAccount(), PayOutForSeller())
    empty = "No seller has an account at Stripe yet: sellers open one from their own pages."

    def page_context(self, row: ConnectedAccount) -> dict[str, Any]:
        context = _seller_history(self, row)
        terms = _terms(row)
        return {**context, "history_panels": [*context["history_panels"], *([terms] if terms.lines else [])]}


def _terms(row: ConnectedAccount) -> Panel:
    """What finance has set for the seller, the newest first."""
    lines = [
        ("", ["PAYOUT_AFTER" if each.payout_after is None else str(each.payout_after), each.reason, each.set_by, at])
        for each in maturity.terms_of(row.seller_id)
        for at in [format_time(each.set_at)]
    ]
    return Panel("Payout after", ["how old a sale has to be", "reason", "by", "since"], lines)


@column("next")
def payout_next(row: SellerPayout) -> Any:
    return format_html("refreshed {}", when(row.next_attempt_at)) if row.next_attempt_at else row.failure_message or "-"


@admin.register(SellerPayout)
class SellerPayoutAdmin(ReadOnlyAdmin):
    list_display = (short_id, person("seller"), amount, status, age, payout_next)
    list_filter = ("status", AgeFilter, SellerFilter, AmountFilter, CurrencyFilter)
    list_select_related = ("seller",)
    search_keys = ("id", "external_payout_id", "seller__email")
    facts = (person("seller"), amount, age, payout_next)
    row_actions = (RefreshPayout(),)
    empty = "No seller has asked for a payout yet, or nothing matches."

    def page_context(self, row: SellerPayout) -> dict[str, Any]:
        return _seller_history(self, row)


def _seller_history(page: ReadOnlyAdmin, row: ConnectedAccount | SellerPayout) -> dict[str, Any]:
    site = cast(MoneySite, page.admin_site)
    return {
        "history_panels": others(site.panels_of_person(row.seller), row),
        "timeline": site.timeline_of_person(row.seller),
    }

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.utils.html import format_html

from connect.acts import RetryReversal, RetryTransfer
from connect.models import ConnectedAccount, SellerTransfer, TransferReversal
from connect.states import TRANSFER_UNSENT, TransferStatus
from veza.core.admin_base import ReadOnlyAdmin, StoryAdmin
from veza.core.admin_columns import NOTHING, age, amount, column, moment, money, person, short_id, status, when
from veza.core.admin_lists import AgeFilter, AmountFilter, CurrencyFilter, SellerFilter, StuckFilter


@column("next")
def transfer_next(row: SellerTransfer) -> Any:
    if row.status == TransferStatus.PERMANENTLY_FAILED:
        return "a person decides"
    if row.next_retry_at is None:
        return NOTHING
    verb = "taken back" if row.status == TransferStatus.REVERSAL_PENDING else "sent"
    waits = f", waits for {row.get_waiting_for_display().replace('_', ' ')}" if row.waiting_for else ""
    return format_html("{} {}{}", verb, when(row.next_retry_at), waits)


@admin.register(SellerTransfer)
class SellerTransferAdmin(StoryAdmin):
    list_display = (short_id, person("seller"), amount, status, age, money("reversed", "taken back"), transfer_next)
    list_filter = ("status", StuckFilter, AgeFilter, SellerFilter, AmountFilter, CurrencyFilter, "waiting_for")
    list_select_related = ("seller",)
    found_by = ("id", "id__endswith", "order", "stripe_transfer_id", "stripe_reversal_id", "seller__email")
    facts = (
        person("seller"),
        amount,
        money("reversal_target", "to be taken back"),
        money("reversed", "taken back"),
        age,
        transfer_next,
    )
    acts = (RetryTransfer(), RetryReversal())
    empty = "No transfer matches. Transfers are planned when an order is completed."

    def stuck(self, rows: "QuerySet[SellerTransfer]") -> "QuerySet[SellerTransfer]":
        """Given up, tried again already, or waiting for something outside."""
        unsettled = [*TRANSFER_UNSENT, TransferStatus.REVERSAL_PENDING]
        slow = Q(status__in=unsettled) & (Q(retry_count__gt=0) | ~Q(waiting_for=""))
        return rows.filter(Q(status=TransferStatus.PERMANENTLY_FAILED) | slow)


@admin.register(TransferReversal)
class TransferReversalAdmin(StoryAdmin):
    list_display = (short_id, person("transfer.seller", "seller"), amount, status, age, "stripe_reversal_id")
    list_filter = ("status", AgeFilter, CurrencyFilter)
    list_select_related = ("transfer__seller",)
    found_by = ("id", "transfer", "story_id", "stripe_reversal_id")
    facts = (person("transfer.seller", "seller"), amount, age)
    empty = "Nothing was taken back from a seller yet."


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
    found_by = ("id", "stripe_account_id", "seller__email")
    facts = (person("seller"), moment("updated_at"))
    empty = "No seller has an account at Stripe yet: they make it from their own pages."

    def story(self, row: ConnectedAccount) -> dict[str, Any]:
        site: Any = self.admin_site
        return {
            "story_panels": site.panels_of_person(row.seller),
            "timeline": site.timeline_of_person(row.seller),
        }

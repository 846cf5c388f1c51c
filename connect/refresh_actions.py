"""“Refresh from Stripe”: staff have a transfer, a reversal, a payout or an account read there now, in any state.

Reading moves no money. What Stripe shows is applied exactly as the worker would.
"""

from typing import Any, TypeVar

from connect import accounts, payouts
from connect.models import ConnectedAccount, SellerPayout, SellerTransfer, TransferReversal
from connect.transfers import transfer_refresh
from veza.core.admin_actions import ActionRequest, AdminAction
from veza.core.causes import Cause
from veza.core.money import format_amount
from veza.core.outcomes import Accepted

Row = TypeVar("Row", SellerTransfer, TransferReversal, SellerPayout, ConnectedAccount)


class _RefreshAction(AdminAction[Row]):
    label, permission = "Refresh from Stripe", "payments.ask_provider"

    def stripe_id(self, row: Row) -> str:
        """What is read at Stripe; "" while Stripe has nothing."""
        raise NotImplementedError

    def is_available(self, row: Row) -> bool:
        return bool(self.stripe_id(row))

    def preview(self, row: Row, *, params: ActionRequest) -> list[str]:
        return [
            f"{self.stripe_id(row)} is read from Stripe now. This moves no money.",
            "What Veza has not booked is booked. Without an answer nothing changes.",
        ]


class RefreshTransfer(_RefreshAction[SellerTransfer]):
    def stripe_id(self, row: SellerTransfer) -> str:
        return row.stripe_transfer_id or (f"transfer group {row.order_id}" if row.in_doubt_since else "")

    def perform(self, row: SellerTransfer, *, cause: Cause, params: ActionRequest) -> str:
        outcome = transfer_refresh.refresh_transfer(row.pk, cause=cause)
        if not isinstance(outcome, Accepted):
            return "Stripe does not show the transfer now. Nothing has changed."
        row.refresh_from_db()
        amount = format_amount(row.reversed_minor, row.currency)
        return f"Refreshed 1 item. {amount} of {row.amount()} is reversed."


class RefreshReversal(_RefreshAction[TransferReversal]):
    def stripe_id(self, row: TransferReversal) -> str:
        return row.transfer.stripe_transfer_id or ""

    def perform(self, row: TransferReversal, *, cause: Cause, params: ActionRequest) -> str:
        outcome = transfer_refresh.refresh_transfer(row.transfer_id, cause=cause)
        if not isinstance(outcome, Accepted):
            return "Stripe does not show the transfer now. Nothing has changed."
        return _describe(row)


class RefreshPayout(_RefreshAction[SellerPayout]):
    def stripe_id(self, row: SellerPayout) -> str:
        return row.external_payout_id or ""

    def perform(self, row: SellerPayout, *, cause: Cause, params: ActionRequest) -> str:
        payouts.advance_payout(row.pk, cause=cause)
        return _describe(row)


class RefreshAccount(_RefreshAction[ConnectedAccount]):
    def stripe_id(self, row: ConnectedAccount) -> str:
        return row.stripe_account_id or ""

    def perform(self, row: ConnectedAccount, *, cause: Cause, params: ActionRequest) -> str:
        outcome = accounts.refresh_account(seller_id=row.seller_id)
        if not isinstance(outcome, Accepted):
            return "Stripe does not show the account now."
        row.refresh_from_db()
        return f"Refreshed 1 item. The account {'can' if row.can_receive() else 'cannot'} receive transfers."


def _describe(row: Any) -> str:
    before = row.status
    row.refresh_from_db()
    name = row._meta.verbose_name
    if row.status != before:
        return f"Refreshed 1 item. The {name} went from {before} to {row.status}."
    return f"Refreshed 1 item. The {name} is still {row.status}."

"""What staff may do about a seller's account, a transfer to it, and about taking it back."""

from connect import accounts
from connect.debts import write_offs
from connect.models import ConnectedAccount, SellerTransfer
from connect.reversals import reversal_requests
from connect.settlement import reconcile_seller
from connect.states import TransferStatus
from connect.transfers import transfer_requests
from veza.core.admin_actions import ActionRequest, AdminAction
from veza.core.causes import Cause
from veza.core.money import format_amount


class RetryTransfer(AdminAction):
    label, permission = "Retry the transfer", "connect.retry_transfer"

    def is_available(self, row: SellerTransfer) -> bool:
        return row.status == TransferStatus.PERMANENTLY_FAILED and row.completed_at is None

    def preview(self, row: SellerTransfer, *, params: ActionRequest) -> list[str]:
        return [
            f"The worker asks Stripe again to send {row.amount()} to {row.seller.email}, within a minute.",
            f"It was given up because: {row.last_error or 'no reason was kept'}.",
            "If Stripe already has it, Veza finds it there instead of sending it twice.",
        ]

    def perform(self, row: SellerTransfer, *, cause: Cause, params: ActionRequest) -> str:
        transfer_requests.retry(transfer_id=row.pk, cause=cause)
        return "The worker sends it within a minute."


class RetryReversal(AdminAction):
    label, permission = "Retry the reversal", "connect.retry_reversal"

    def is_available(self, row: SellerTransfer) -> bool:
        return row.status == TransferStatus.PERMANENTLY_FAILED and bool(row.stripe_transfer_id)

    def preview(self, row: SellerTransfer, *, params: ActionRequest) -> list[str]:
        return [
            f"The worker asks Stripe to take back {row.owed()} from {row.seller.email}, within a minute.",
            f"It was given up because: {row.last_error or 'no reason was kept'}.",
            "The buyer's refund does not depend on it. What Stripe takes back is booked when it says so.",
        ]

    def perform(self, row: SellerTransfer, *, cause: Cause, params: ActionRequest) -> str:
        reversal_requests.retry(transfer_id=row.pk, cause=cause)
        return "The worker takes it back within a minute."


class ReissueTransfer(AdminAction):
    label, permission, for_selection = "Pay it again", "connect.retry_transfer", False

    def is_available(self, row: SellerTransfer) -> bool:
        return row.reissuable_minor > 0

    def version_of(self, row: SellerTransfer) -> str:
        return f"{row.status} {row.reissuable_minor}"

    def preview(self, row: SellerTransfer, *, params: ActionRequest) -> list[str]:
        return [
            f"{format_amount(row.reissuable_minor, row.currency)} reversed in Stripe's dashboard by mistake is paid "
            f"to {row.seller.email} again.",
            "What they owe for this order is lowered first. The rest is a new transfer, sent within a minute.",
        ]

    def perform(self, row: SellerTransfer, *, cause: Cause, params: ActionRequest) -> str:
        amount = reconcile_seller.reissue_transfer(transfer_id=row.pk, cause=cause)
        return f"{format_amount(amount, row.currency)} is the seller's again."


class WriteOffDebt(AdminAction):
    label, permission, for_selection = "Write the debt off", "connect.write_off", False

    def is_available(self, row: SellerTransfer) -> bool:
        return write_offs.may_be_written_off(row)

    def version_of(self, row: SellerTransfer) -> str:
        return f"{row.status} {row.owed_minor}"

    def preview(self, row: SellerTransfer, *, params: ActionRequest) -> list[str]:
        return [
            f"{row.owed()} that {row.seller.email} owes becomes our loss. No money moves.",
            "Stripe is not asked for it any more, and no later sale is set off against it. This cannot be undone here.",
        ]

    def perform(self, row: SellerTransfer, *, cause: Cause, params: ActionRequest) -> str:
        amount = write_offs.write_off(transfer_id=row.pk, cause=cause)
        return f"{format_amount(amount, row.currency)} is written off."


class DisconnectAccount(AdminAction):
    label, permission, for_selection = "Start the account anew", "connect.retry_transfer", False

    def is_available(self, row: ConnectedAccount) -> bool:
        return accounts.access_revoked(row)

    def version_of(self, row: ConnectedAccount) -> str:
        return f"{row.stripe_account_id}"

    def preview(self, row: ConnectedAccount, *, params: ActionRequest) -> list[str]:
        return [
            f"{row.stripe_account_id} of {row.seller.email} is forgotten, and they may open another account.",
            "Transfers that wait go to the new one. What was sent to the old one stays there.",
            "This cannot be undone here. Ask the seller first whether they would rather let us in again.",
        ]

    def perform(self, row: ConnectedAccount, *, cause: Cause, params: ActionRequest) -> str:
        accounts.disconnect_account(account_id=row.pk, cause=cause)
        return "The seller can open another account now: tell them."

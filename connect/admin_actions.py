"""What staff may do about a seller's account, and about a transfer to it, its reversal and its debt."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.utils import timezone

from connect import accounts, maturity, payouts
from connect.debts import write_offs
from connect.models import ConnectedAccount, SellerTransfer
from connect.reversals import reversal_requests
from connect.reversals.reversal_refresh import find_unanswered
from connect.settlement import reissues
from connect.states import TransferStatus
from connect.transfers import transfer_requests
from veza.core.accounts import refuse_own
from veza.core.admin_actions import ActionForm, ActionRequest, AdminAction, minor_units
from veza.core.causes import Cause
from veza.core.durations import parse_duration
from veza.core.money import format_amount
from veza.core.words import count_of, format_status

# Stripe itself pays out what has been in an account for so long (two years in the United States).
LONGEST_PAYOUT_AFTER = timedelta(days=90)


class RetryTransfer(AdminAction[SellerTransfer]):
    label, permission = "Retry transfer", "connect.retry_transfer"

    def is_available(self, row: SellerTransfer) -> bool:
        return row.status == TransferStatus.PERMANENTLY_FAILED and row.completed_at is None

    def preview(self, row: SellerTransfer, *, params: ActionRequest) -> list[str]:
        return [
            f"The worker asks Stripe within a minute to send {row.amount()} to {row.seller.email}.",
            f"Last error: {row.last_error or 'none was recorded'}.",
            "If Stripe already has the transfer, Veza finds it there instead of sending it twice.",
        ]

    def perform(self, row: SellerTransfer, *, cause: Cause, params: ActionRequest) -> str:
        transfer_requests.retry(transfer_id=row.pk, cause=cause)
        return "The worker sends the transfer within a minute."


class RetryReversal(AdminAction[SellerTransfer]):
    label, permission = "Retry reversal", "connect.retry_reversal"

    def is_available(self, row: SellerTransfer) -> bool:
        return row.status == TransferStatus.PERMANENTLY_FAILED and bool(row.stripe_transfer_id)

    def preview(self, row: SellerTransfer, *, params: ActionRequest) -> list[str]:
        return [
            f"The worker asks Stripe within a minute to reverse {row.outstanding()} from {row.seller.email}.",
            f"Last error: {row.last_error or 'none was recorded'}.",
            "The buyer's refund does not depend on it. A reversal is booked once Stripe confirms it.",
            *_read_first(row),
        ]

    def perform(self, row: SellerTransfer, *, cause: Cause, params: ActionRequest) -> str:
        transfer = reversal_requests.retry(transfer_id=row.pk, cause=cause)
        if transfer.status != TransferStatus.REVERSAL_PENDING:
            return "Stripe had reversed it already, and that is booked now. Nothing is left to reverse."
        return "The worker reverses the transfer within a minute."


class ReissueTransfer(AdminAction[SellerTransfer]):
    label, permission, for_selection = "Reissue transfer", "connect.retry_transfer", False

    def is_available(self, row: SellerTransfer) -> bool:
        return row.external_reversed_minor > 0

    def version_of(self, row: SellerTransfer) -> str:
        return f"{row.status} {row.external_reversed_minor}"

    def preview(self, row: SellerTransfer, *, params: ActionRequest) -> list[str]:
        lines = [
            f"{format_amount(row.external_reversed_minor, row.currency)} that was reversed in Stripe's dashboard by "
            f"mistake is paid to {row.seller.email} again.",
            "It first reduces what the seller owes for this order. The rest is a new transfer, sent within a minute.",
        ]
        if row.paid_twice_minor:
            amount = format_amount(row.paid_twice_minor, row.currency)
            lines.append(f"Later transfers had paid {amount} of it already: their orders send it to the seller now.")
        return lines

    def perform(self, row: SellerTransfer, *, cause: Cause, params: ActionRequest) -> str:
        amount = reissues.reissue_transfer(transfer_id=row.pk, cause=cause)
        return f"Reissued {format_amount(amount, row.currency)} to the seller."


class WriteOffDebt(AdminAction[SellerTransfer]):
    label, permission, for_selection = "Write off debt", "connect.write_off", False

    def is_available(self, row: SellerTransfer) -> bool:
        return write_offs.may_be_written_off(row)

    def version_of(self, row: SellerTransfer) -> str:
        return f"{row.status} {row.outstanding_minor}"

    def preview(self, row: SellerTransfer, *, params: ActionRequest) -> list[str]:
        return [
            f"{row.outstanding()} that {row.seller.email} owes becomes our loss. No money moves.",
            "Veza neither asks Stripe for it nor withholds it from later sales. This cannot be undone here.",
            *_read_first(row),
        ]

    def perform(self, row: SellerTransfer, *, cause: Cause, params: ActionRequest) -> str:
        amount = write_offs.write_off(transfer_id=row.pk, cause=cause)
        if not amount:
            return "Stripe had reversed it already, and that is booked now. Nothing was written off."
        return f"Wrote off {format_amount(amount, row.currency)}."


def _read_first(row: SellerTransfer) -> list[str]:
    if find_unanswered(row) is None:
        return []
    return ["Stripe never answered the last attempt: the transfer is read there first. If it was made, it is booked."]


class DisconnectAccount(AdminAction[ConnectedAccount]):
    label, permission, for_selection = "Disconnect account", "connect.retry_transfer", False

    def is_available(self, row: ConnectedAccount) -> bool:
        return accounts.access_revoked(row)

    def version_of(self, row: ConnectedAccount) -> str:
        return f"{row.stripe_account_id}"

    def preview(self, row: ConnectedAccount, *, params: ActionRequest) -> list[str]:
        return [
            f"{row.stripe_account_id} of {row.seller.email} is disconnected, and the seller may open another account.",
            "Transfers that wait go to the new account. What was sent to the old one stays there.",
            "This cannot be undone here. Ask the seller first whether they would rather restore our access.",
        ]

    def perform(self, row: ConnectedAccount, *, cause: Cause, params: ActionRequest) -> str:
        accounts.disconnect_account(account_id=row.pk, cause=cause)
        return "Disconnected. Let the seller know that they can open another account now."


class PayoutAfterForm(ActionForm):
    """How old a sale has to be. Empty: as for every seller."""

    payout_after = forms.CharField(
        required=False,
        strip=True,
        max_length=12,
        label="Payout after",
        help_text="A number with s, m, h or d, such as 30d: 0s pays out at once, and at most 90d. Empty: PAYOUT_AFTER.",
    )

    def clean_payout_after(self) -> timedelta | None:
        text = self.cleaned_data["payout_after"]
        if not text:
            return None
        try:
            payout_after = parse_duration(text)
        except ValueError as error:
            raise forms.ValidationError(f"{error}.") from None
        if payout_after > LONGEST_PAYOUT_AFTER:
            raise forms.ValidationError("At most 90d: Stripe itself pays out what is older.")
        return payout_after


class SetPayoutAfter(AdminAction[ConnectedAccount]):
    """Longer for a seller whose sales are often refunded or disputed, shorter for one who has earned it."""

    label, permission, for_selection = "Payout after", "connect.set_payout_after", False

    def is_available(self, row: ConnectedAccount) -> bool:
        return row.stripe_account_id is not None

    def version_of(self, row: ConnectedAccount) -> str:
        return str(maturity.terms_of(row.seller_id).values_list("pk", flat=True).first())

    def form(self, row: Any, data: Any = None) -> ActionForm:
        return PayoutAfterForm(data)

    def preview(self, row: ConnectedAccount, *, params: ActionRequest) -> list[str]:
        email, lines = row.seller.email, []
        payout_after = maturity.payout_after_of(row.seller_id)
        lines.append(f"Now a sale of {email} has to be {_age(payout_after)} old. {_maturing(row, payout_after)}")
        if "payout_after" in params.answers:
            own: timedelta | None = params.answers["payout_after"]
            payout_after = settings.PAYOUT_AFTER if own is None else own
            lines.append(f"From now on it has to be {_age(payout_after)} old. {_maturing(row, payout_after)}")
        lines.append("It applies at once, to earlier sales too. No money moves, and the seller's balance shows it.")
        lines.append(f"Buyers may give back what they bought for {_age(settings.REFUND_WINDOW)}.")
        return lines

    def perform(self, row: ConnectedAccount, *, cause: Cause, params: ActionRequest) -> str:
        own: timedelta | None = params.answers["payout_after"]
        maturity.set_payout_after(seller_id=row.seller_id, payout_after=own, cause=cause)
        age = _age(settings.PAYOUT_AFTER if own is None else own)
        return f"A sale of {row.seller.email} has to be {age} old now before its share may be paid out."


def _maturing(row: ConnectedAccount, payout_after: timedelta) -> str:
    """What would be maturing, in every currency."""
    reserves = maturity.reserves_of(row.seller_id, at=timezone.now(), payout_after=payout_after)
    amounts = [
        format_amount(reserve.maturing_minor, currency)
        for currency, reserve in sorted(reserves.items())
        if reserve.maturing
    ]
    return f"{' and '.join(amounts) or 'Nothing'} of theirs matures later."


def _age(age: timedelta) -> str:
    """A length of time in prose: `14 days`."""
    hours, seconds = divmod(int(age.total_seconds()), 3600)
    if seconds:
        return count_of(int(age.total_seconds()), "second")
    return count_of(hours // 24, "day") if hours % 24 == 0 else count_of(hours, "hour")


class PayoutForm(ActionForm):
    amount = forms.DecimalField(label="Amount", min_value=0, help_text="At most what the account at Stripe has.")
    currency = forms.ChoiceField()
    field_order = ("amount", "currency", "reason")

    def __init__(self, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(data)
        self.fields["currency"].choices = [(code, code) for code in settings.CURRENCIES]  # type: ignore[attr-defined]  # The stub knows a plain Field only.

    def clean(self) -> dict[str, Any]:
        """`amount` becomes minor units of the currency."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if {"amount", "currency"} <= cleaned.keys():
            try:
                cleaned["amount"] = minor_units(cleaned["amount"], cleaned["currency"])
            except forms.ValidationError as error:
                self.add_error("amount", error)
        return cleaned


class PayOutForSeller(AdminAction[ConnectedAccount]):
    """A closed seller cannot ask for their own payout."""

    label, permission, for_selection = "Pay out for the seller", "connect.pay_out", False

    def is_available(self, row: ConnectedAccount) -> bool:
        return row.seller.closed_at is not None and row.stripe_account_id is not None

    def form(self, row: ConnectedAccount, data: Mapping[str, Any] | None = None) -> ActionForm:
        return PayoutForm(data)

    def version_of(self, row: ConnectedAccount) -> str:
        return f"{row.stripe_account_id}"

    def preview(self, row: ConnectedAccount, *, params: ActionRequest) -> list[str]:
        return [
            f"Stripe sends the amount from {row.stripe_account_id} to the bank account of {row.seller.email}.",
            "Its balance is read first: never more than it has, less what is to be reversed.",
            "The seller is told by e-mail once it was sent. It cannot be recalled here.",
        ]

    def perform(self, row: ConnectedAccount, *, cause: Cause, params: ActionRequest) -> str:
        refuse_own(row.seller_id, cause)
        payout = payouts.request_payout(
            payout_id=params.id,
            seller_id=row.seller_id,
            amount_minor=params.answers["amount"],
            currency=params.answers["currency"],
            cause=cause,
        )
        return f"The payout of {format_amount(payout.amount_minor, payout.currency)} is {format_status(payout.status)}."

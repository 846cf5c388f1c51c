"""What a report of Hyperswitch changes of a payment: its status, and what was received and voided in each currency.

Nothing is written here: `payment_updates` applies what this finds.
"""

from dataclasses import dataclass

from payments.collection.charges import needs_payer
from payments.hyperswitch.objects import RemotePayment
from payments.ledger import allocations
from payments.models import Payment
from payments.states import PaymentStatus
from veza.core.models import StatusChange
from veza.core.states import may_move

# Hyperswitch's status of a payment, and ours. Each that means a problem with the money becomes `mismatched`; `pending`
# and `processing` hold none of it. A test walks Hyperswitch's list: one that is not here is a review item.
STATUS_OF = {
    "succeeded": PaymentStatus.SUCCEEDED,
    "processing": PaymentStatus.PROCESSING,
    "partially_captured_and_processing": PaymentStatus.PROCESSING,
    "requires_payment_method": PaymentStatus.PENDING,
    "requires_confirmation": PaymentStatus.PENDING,
    "requires_customer_action": PaymentStatus.PENDING,
    "requires_merchant_action": PaymentStatus.PENDING,
    "requires_capture": PaymentStatus.PENDING,
    "partially_authorized_and_requires_capture": PaymentStatus.PENDING,
    "failed": PaymentStatus.FAILED,
    "cancelled": PaymentStatus.CANCELLED,
    "expired": PaymentStatus.CANCELLED,
    "partially_captured": PaymentStatus.MISMATCHED,
    "partially_captured_and_capturable": PaymentStatus.MISMATCHED,
    "conflicted": PaymentStatus.MISMATCHED,
    "review": PaymentStatus.MISMATCHED,
    "cancelled_post_capture": PaymentStatus.CANCELLED,
}
STATUS_UNKNOWN = "unclear"  # In a payment's error_code, until Hyperswitch reports a status that we know.
CAPTURES = frozenset({"succeeded", "partially_captured", "partially_captured_and_capturable"})
# Hyperswitch's staff look into it: an amount is there, and one that is missing proves nothing.
_UNDER_REVIEW = frozenset({"review", "conflicted"})
# Nothing of the payment is held, whatever `amount_received` says.
HOLDS_NOTHING = frozenset({"failed", "cancelled", "expired", "cancelled_post_capture"})
# Nothing of the payment was captured yet.
OPEN_AT_HYPERSWITCH = frozenset(
    remote for remote, ours in STATUS_OF.items() if ours in (PaymentStatus.PENDING, PaymentStatus.PROCESSING)
)
# Something may be captured, and more or less of it later.
UNDECIDED_AT_HYPERSWITCH = _UNDER_REVIEW | {"partially_captured_and_capturable"}
# What an open payment waits for at Hyperswitch, for staff; the other statuses say it themselves.
NOTES = {
    "requires_customer_action": "waiting for the buyer to confirm it with their bank",
    "requires_merchant_action": "waiting for a decision in Hyperswitch's dashboard",
    "requires_capture": "authorized, not captured: nothing is received yet",
    "partially_authorized_and_requires_capture": "authorized in part, not captured: nothing is received yet",
    "partially_captured_and_processing": "captured in part; the rest is being processed",
}


@dataclass(frozen=True)
class Flow:
    """What a report changes of what was received in one currency: what was received in addition, and what is voided now
    (before: `was_voided`).
    """

    currency: str
    added_minor: int
    voided_minor: int
    was_voided_minor: int

    @property
    def newly_voided_minor(self) -> int:
        return self.voided_minor - self.was_voided_minor

    @property
    def moves_money(self) -> bool:
        return self.added_minor > 0 or self.newly_voided_minor != 0


@dataclass(frozen=True)
class Change:
    """What a report changes: the status, and the money of each currency, the first that was received before others.

    Adverse is what takes money away, or undoes a success.
    """

    target: PaymentStatus
    flows: tuple[Flow, ...]
    is_adverse: bool

    @property
    def added_minor(self) -> int:
        """What was received in addition of the first currency."""
        return self.flows[0].added_minor

    @property
    def moves_money(self) -> bool:
        return any(flow.moves_money for flow in self.flows)

    @property
    def adds_money(self) -> bool:
        return any(flow.added_minor for flow in self.flows)


def change_of(snapshot: RemotePayment, payment: Payment) -> Change | None:
    """What the report changes of the payment; None if nothing."""
    flows = tuple(_flow_of(snapshot, payment, *received) for received in _received_in(snapshot, payment))
    target = _target_of(snapshot, payment)
    is_undone = payment.status == PaymentStatus.SUCCEEDED and target != PaymentStatus.SUCCEEDED
    is_adverse = is_undone or any(flow.newly_voided_minor > 0 for flow in flows)
    change = Change(target, flows, is_adverse)
    if change.moves_money:
        assert target == payment.status or may_move(payment, target), "money that moved is never ignored"
        return change
    return change if may_move(payment, target) and not _is_decided(snapshot, target, payment) else None


def _received_in(snapshot: RemotePayment, payment: Payment) -> list[tuple[str, int]]:
    """Each currency that was received so far, or is reported now, with the amount received; the first one first."""
    first = payment.received_currency or snapshot.currency
    received = {first: payment.received_minor}
    # It receives another currency only after it has lost the first, which may be there again since.
    if payment.refunded_minor or snapshot.currency != first:
        received |= dict(payment.foreign_receipts.order_by("pk").values_list("currency", "received_minor"))
    return list((received | {snapshot.currency: received.get(snapshot.currency, 0)}).items())


def _flow_of(snapshot: RemotePayment, payment: Payment, currency: str, received_minor: int) -> Flow:
    was_voided_minor = payment.voided_minor("" if currency == payment.held_currency else currency)
    held_minor = _held_minor(snapshot, currency, received_minor - was_voided_minor)
    if held_minor is None:
        return Flow(currency, 0, was_voided_minor, was_voided_minor)
    added_minor, voided_minor = max(0, held_minor - received_minor), max(0, received_minor - held_minor)
    return Flow(currency, added_minor, voided_minor, was_voided_minor)


def _held_minor(snapshot: RemotePayment, currency: str, was_held_minor: int) -> int | None:
    """What Hyperswitch has captured in `currency` and not voided, refunds not deducted; None: not reported.

    A payment has one currency at a time: when another one is captured, nothing of the first is there any more.
    """
    if snapshot.status in HOLDS_NOTHING:
        return 0
    captured_minor = snapshot.received_minor
    if snapshot.status in _UNDER_REVIEW and not captured_minor:
        return None
    if captured_minor is None or snapshot.status not in CAPTURES | _UNDER_REVIEW:
        return None
    if currency != snapshot.currency:
        return 0
    if snapshot.status in _UNDER_REVIEW and captured_minor < was_held_minor:
        return None
    return captured_minor


def _target_of(snapshot: RemotePayment, payment: Payment) -> PaymentStatus:
    """The status that the payment should have by this report."""
    if snapshot.status in CAPTURES:
        return PaymentStatus.SUCCEEDED if _is_right(snapshot, payment) else PaymentStatus.MISMATCHED
    if snapshot.status in HOLDS_NOTHING and payment.received_minor:
        is_ended = payment.status in (PaymentStatus.FAILED, PaymentStatus.CANCELLED)
        # Voided in full, a mismatched payment becomes cancelled.
        return PaymentStatus(payment.status) if is_ended else PaymentStatus.MISMATCHED
    if snapshot.status in HOLDS_NOTHING and payment.status == PaymentStatus.MISMATCHED:
        return PaymentStatus.CANCELLED
    if needs_payer(payment, snapshot):
        return PaymentStatus.FAILED
    return STATUS_OF[snapshot.status]


def _is_right(snapshot: RemotePayment, payment: Payment) -> bool:
    """Whether the price was received exactly, and nothing refunded or promised before the purchase was fulfilled.

    Of one that was fulfilled already, what is missing is voided and what is too much is unapplied.
    """
    if snapshot.currency != payment.currency or payment.received_currency not in ("", payment.currency):
        return False
    if payment.received_minor and allocations.is_applied(payment):
        return True
    returned_minor = payment.refunded_minor - payment.voided_minor() + payment.pending_minor()
    is_exact = snapshot.status == "succeeded" and snapshot.received_minor == payment.amount_minor
    return is_exact and not returned_minor


def is_detail(snapshot: RemotePayment, payment: Payment) -> bool:
    """Whether an update that leaves our status and the money as they are brings something new about the payment."""
    target, holds_nothing = _target_of(snapshot, payment), payment.received_minor == 0
    if payment.error_code == STATUS_UNKNOWN:
        return holds_nothing or target == payment.status
    stored = (payment.provider_status, payment.error_code, payment.error_message)
    is_other = (snapshot.status, snapshot.error_code, snapshot.error_message) != stored
    if target not in (PaymentStatus.PENDING, PaymentStatus.PROCESSING):
        return target == payment.status == PaymentStatus.FAILED and is_other and holds_nothing
    times = [at for at in (payment.provider_updated_at, payment.provider_status_at) if at is not None]
    is_newer = snapshot.updated_at > max(times) if snapshot.updated_at is not None and times else is_other
    return is_newer and holds_nothing


def _is_decided(snapshot: RemotePayment, target: PaymentStatus, payment: Payment) -> bool:
    """Whether the update, which moves no money, is about money that was refunded already, or about a mismatch that
    finance has decided.
    """
    if payment.status in (PaymentStatus.FAILED, PaymentStatus.CANCELLED) and payment.received_minor:
        return True
    is_same_update = snapshot.updated_at is not None and snapshot.updated_at == payment.provider_updated_at
    if target != PaymentStatus.MISMATCHED or not is_same_update:
        return False
    # A decision is ours and has no time at Hyperswitch: it was made about the last update.
    return StatusChange.objects.filter(subject_id=payment.pk, from_status=PaymentStatus.MISMATCHED).exists()

"""Hyperswitch's own lists of values.

From Hyperswitch's OpenAPI document, v1 API, release 2026.08.21.0 (juspay/hyperswitch at 07df51534c2e).
"""

# `IntentStatus`, with the event that the status emits.
INTENT_STATUSES = {
    "succeeded": "payment_succeeded",
    "failed": "payment_failed",
    "cancelled": "payment_cancelled",
    "cancelled_post_capture": "payment_cancelled_post_capture",
    "processing": "payment_processing",
    "requires_customer_action": "action_required",
    "requires_merchant_action": "action_required",
    "requires_payment_method": None,
    "requires_confirmation": None,
    "requires_capture": "payment_authorized",
    "partially_captured": "payment_captured",
    "partially_captured_and_capturable": "payment_captured",
    "partially_authorized_and_requires_capture": "payment_partially_authorized",
    "partially_captured_and_processing": "payment_processing",
    "conflicted": "action_required",
    "expired": "payment_expired",
    "review": "action_required",
}
# `RefundStatus`.
REFUND_STATUSES = ("succeeded", "failed", "pending", "review")
# `DisputeStatus` and `DisputeStage`.
DISPUTE_STATUSES = (
    "dispute_opened",
    "dispute_expired",
    "dispute_accepted",
    "dispute_cancelled",
    "dispute_challenged",
    "dispute_won",
    "dispute_lost",
)
DISPUTE_STAGES = ("pre_dispute", "dispute", "pre_arbitration", "arbitration", "dispute_reversal")
# `MandateStatus`.
MANDATE_STATUSES = ("active", "inactive", "pending", "revoked")
# `EventType`.
EVENT_TYPES = (
    "payment_succeeded",
    "payment_failed",
    "payment_processing",
    "payment_cancelled",
    "payment_cancelled_post_capture",
    "payment_authorized",
    "payment_partially_authorized",
    "payment_captured",
    "payment_expired",
    "action_required",
    "refund_succeeded",
    "refund_failed",
    "dispute_opened",
    "dispute_expired",
    "dispute_accepted",
    "dispute_cancelled",
    "dispute_challenged",
    "dispute_won",
    "dispute_lost",
    "mandate_active",
    "mandate_revoked",
    "payout_success",
    "payout_failed",
    "payout_initiated",
    "payout_processing",
    "payout_cancelled",
    "payout_expired",
    "payout_reversed",
    "payout_not_permitted",
    "invoice_paid",
    "surcharge_payment_succeeded",
    "surcharge_refund_succeeded",
)

"""Stripe's own lists of values.

From Stripe's OpenAPI document (stripe/openapi at 63a674638635, API version 2023-08-16), and where marked from the types
of stripe-python 16.1.0 (API version 2026-10-28.endive), which has newer ones.
"""

# `capability.status`; `account_capabilities.transfers` has the first three.
CAPABILITY_STATUSES = ("active", "inactive", "pending", "disabled", "unrequested")
# `account_requirements.disabled_reason` and `account_capability_requirements.disabled_reason`.
DISABLED_REASONS = (
    "requirements.past_due",
    "requirements.pending_verification",
    "listed",
    "platform_paused",
    "rejected.fraud",
    "rejected.listed",
    "rejected.terms_of_service",
    "rejected.other",
    "rejected.unsupported_business",
    "under_review",
    "other",
    # stripe-python
    "action_required.requested_capabilities",
    "rejected.incomplete_verification",
    "rejected.platform_fraud",
    "rejected.platform_other",
    "rejected.platform_terms_of_service",
)
# `payout.status`.
PAYOUT_STATUSES = ("paid", "pending", "in_transit", "canceled", "failed")
# The events that an endpoint of a platform with connected accounts subscribes to: CHANGELOG.md names those that Veza
# needs; the others come with `payout.*`, `transfer.*`, `account.*` or `balance*`.
EVENT_TYPES = (
    "account.application.authorized",
    "account.application.deauthorized",
    "account.external_account.created",
    "account.external_account.deleted",
    "account.external_account.updated",
    "account.updated",
    "balance.available",
    "balance_settings.updated",
    "capability.updated",
    "payout.canceled",
    "payout.created",
    "payout.failed",
    "payout.paid",
    "payout.reconciliation_completed",
    "payout.updated",
    "transfer.created",
    "transfer.reversed",
    "transfer.updated",
)

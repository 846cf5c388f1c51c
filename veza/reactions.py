"""Who reacts to what. A lower floor announces a fact; these functions run in the same transaction, in this order."""

REACTIONS = {
    "payment.succeeded": ["marketplace.orders.payment_succeeded"],
    "payment.failed": ["marketplace.orders.payment_failed"],
    "order.completed": ["connect.transfers.plan_transfers"],
    "refund.settled": ["marketplace.orders.refund_settled"],
    "order.refund_settled": ["connect.settle.settle_order"],
}

# Which page of handlers reads a provider's webhooks: event type to the function that books it.
PROVIDERS = {"hyperswitch": "payments.webhooks.HANDLERS"}

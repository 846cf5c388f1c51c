"""Who reacts to what. A lower floor announces a fact; these functions run in the same transaction, in this order."""

REACTIONS = {
    "payment.succeeded": ["subscriptions.billing.payment_succeeded", "marketplace.orders.payment_succeeded"],
    "payment.failed": ["subscriptions.billing.payment_failed", "marketplace.orders.payment_failed"],
    "order.completed": ["connect.transfers.transfer_requests.plan_transfers"],
    "refund.settled": ["subscriptions.billing.refund_settled", "marketplace.orders.refund_settled"],
    "refund.taken_in": ["marketplace.external_refunds.refund_taken_in"],
    "refund.overtaken": ["marketplace.external_refunds.refund_overtaken"],
    "dispute.moved": ["subscriptions.billing.dispute_moved", "marketplace.disputes.dispute_moved"],
    "order.refund_settled": ["connect.settlement.reconcile_seller.settle_order"],
    "order.dispute_moved": ["connect.settlement.reconcile_seller.settle_order"],
}

# Which page of handlers reads a provider's webhooks: event type to the function that books it.
PROVIDERS = {"hyperswitch": "payments.webhooks.HANDLERS", "stripe": "connect.webhooks.HANDLERS"}

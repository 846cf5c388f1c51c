"""What follows from what. A lower floor asks through its ports; this page assigns who answers.

Everything named here runs in the transaction of the event, and is an import: an editor can follow it, and mypy checks
that it fits.
"""

from collections.abc import Mapping, Sequence

import connect.messages
import connect.webhooks
import marketplace.messages
import payments.webhooks
import subscriptions.messages
from connect.settlement.reconcile_seller import settle_order
from connect.standing import refused_by_stripe
from connect.transfers.released import unsent_minor, wake_released
from connect.transfers.transfer_requests import plan_transfers
from marketplace import external_refunds
from marketplace import purchases as orders
from marketplace.ports import Sellers, assign_sellers
from payments.inbox.replay import WebhookProvider, assign_providers
from payments.models import Payment
from payments.ports import Purchase, SavedMethods, assign_purchases, assign_saved_methods
from subscriptions import billing as invoices
from subscriptions.saved_methods import method_revoked, method_saved
from veza.backoffice import account_messages, digest
from veza.core.email.messages import Message, assign_messages

PURCHASES: Mapping[Payment.Purpose, Purchase] = {
    Payment.Purpose.ORDER: Purchase(
        lock=orders.lock_purchase,
        may_collect=orders.may_collect,
        payment_succeeded=orders.payment_succeeded,
        payment_failed=orders.payment_failed,
        doubt_ended=orders.doubt_ended,
        refund_opened=orders.refund_opened,
        refund_succeeded=orders.refund_changed,
        refund_failed=orders.refund_changed,
        refund_returned=orders.refund_changed,
        dispute_changed=orders.dispute_changed,
        allocate_external_refund=external_refunds.allocate_external_refund,
        reallocate_refund=external_refunds.reallocate_refund,
    ),
    Payment.Purpose.INVOICE: Purchase(
        lock=invoices.lock_invoice,
        may_collect=invoices.may_collect,
        payment_succeeded=invoices.payment_succeeded,
        payment_failed=invoices.payment_failed,
        doubt_ended=invoices.doubt_ended,
        refund_opened=invoices.refund_opened,
        refund_succeeded=invoices.refund_changed,
        refund_failed=invoices.refund_changed,
        refund_returned=invoices.refund_changed,
        dispute_changed=invoices.dispute_changed,
        allocate_external_refund=invoices.allocate_external_refund,
        reallocate_refund=invoices.reallocate_refund,
    ),
}

SAVED_METHODS = SavedMethods(method_revoked=method_revoked, method_saved=method_saved)

SELLERS = Sellers(
    order_completed=plan_transfers,
    order_money_changed=settle_order,
    refused_by_stripe=refused_by_stripe,
    money_released=wake_released,
    unsent_minor=unsent_minor,
)

# Who reads and handles a provider's webhooks when one is replayed.
PROVIDERS: Mapping[str, WebhookProvider] = {
    "hyperswitch": WebhookProvider(payments.webhooks.read_event, payments.webhooks.HANDLERS),
    "stripe": WebhookProvider(connect.webhooks.read_event, connect.webhooks.HANDLERS),
}

# Every e-mail that can be sent.
MESSAGES: Sequence[Message] = (
    *marketplace.messages.MESSAGES,
    *subscriptions.messages.MESSAGES,
    *connect.messages.MESSAGES,
    *account_messages.MESSAGES,
    *digest.MESSAGES,
)


def assign_ports() -> None:
    """Give every lower floor its answers, when the process starts."""
    assign_purchases(PURCHASES)
    assign_saved_methods(SAVED_METHODS)
    assign_sellers(SELLERS)
    assign_providers(PROVIDERS)
    assign_messages(MESSAGES)

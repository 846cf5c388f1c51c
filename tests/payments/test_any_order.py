"""The same updates in any order end the same: neither the ledger nor a status depends on the order of arrival."""

from collections import Counter

import pytest
from django.db import transaction

from connect.models import SellerTransfer
from connect.settlement.reconcile_seller import net_paid
from marketplace.models import License, Order
from payments.inbox.intake import IncomingDelivery, receive_delivery
from payments.ledger.postings import balances
from payments.models import Dispute, Payment, Refund, WebhookDelivery
from payments.webhooks import HANDLERS, read_event
from tests.buying import payment_of, two_sellers_order
from tests.payments.builders import (
    handle_waiting_deliveries,
    open_reviews,
    six_deliveries,
    six_deliveries_of_an_external_refund,
)
from veza.backoffice.proof import prove_payment

pytestmark = pytest.mark.django_db


def receive(raw: bytes) -> None:
    delivery = IncomingDelivery("hyperswitch", raw, signature_valid=True, source_ip=None, user_agent="", request_id="")
    assert receive_delivery(delivery, parse_event=read_event, handlers=HANDLERS, rejection=None).http_status == 200


# Fields that depend on identity and clock; no rule reads these.
IGNORED_FIELDS = {"id", "posting_batches", "refund_deadline"}
READ_BY_RULES = (Payment, Refund, Dispute, Order, License, SellerTransfer)


class Walk:
    """All orders of the deliveries, as a tree: those that begin alike share their beginning.

    A state that was reached before (after the same deliveries, every row a rule could read equal) ends as it did
    then, so it is walked once and its ends are counted again.
    """

    def __init__(self, order: Order, deliveries: list[bytes]) -> None:
        self.order, self.deliveries, self.results = order, deliveries, {}

    def ends(self, path: tuple[int, ...] = ()) -> Counter:
        """How many orders of the deliveries not handled yet end in which state."""
        key = (frozenset(path), self._state())
        if key not in self.results:
            self.results[key] = self._walk_on(path)
        return self.results[key]

    def _walk_on(self, path: tuple[int, ...]) -> Counter:
        ends = Counter()
        remaining = [number for number in range(len(self.deliveries)) if number not in path]
        for number in remaining:
            before = transaction.savepoint()
            receive(self.deliveries[number])
            handle_waiting_deliveries()
            ends += self.ends((*path, number))
            transaction.savepoint_rollback(before)
        return ends if remaining else Counter([self._end()])

    def _state(self) -> str:
        rows = {model.__name__: sorted(map(_fields_of, model.objects.values())) for model in READ_BY_RULES}
        # Waiting deliveries become due in one moment, so the order in which they are replayed is open anyway.
        waiting = WebhookDelivery.objects.filter(next_attempt_at__isnull=False).values_list("event_id", flat=True)
        return repr((rows, open_reviews(), sorted(balances().items()), sorted(waiting)))

    def _end(self) -> tuple:
        """The final state."""
        payment, refund, dispute = payment_of(self.order), Refund.objects.get(), Dispute.objects.get()
        keeps = Counter()
        for row in SellerTransfer.objects.filter(order=self.order):
            keeps[str(row.seller_id)] += net_paid(row)
        return (
            tuple(sorted((key, amount) for key, amount in balances().items() if amount)),
            (payment.status, payment.received_minor, payment.refunded_minor, payment.disputed_minor),
            (Order.objects.get().status, refund.status, dispute.status, dispute.funds_location),
            tuple(sorted(License.objects.values_list("item_id", "status"))),
            tuple(open_reviews()),
            tuple(sorted(keeps.items())),
            WebhookDelivery.objects.filter(next_attempt_at__isnull=False).count(),
            tuple(prove_payment(payment).differences),
        )


def _fields_of(row: dict) -> str:
    return repr(
        sorted((name, str(value)) for name, value in row.items() if name not in IGNORED_FIELDS and name[-3:] != "_at")
    )


def the_end(order: Order, deliveries: list[bytes]) -> tuple:
    [(end, orders)] = Walk(order, deliveries).ends().items()
    assert orders == 720
    return end


def test_all_720_orders_with_a_dispute_that_is_won_end_the_same(sandbox):
    order = two_sellers_order()
    deliveries = six_deliveries(order, refund_minor=18_00, dispute_minor=18_00, ends="won")

    end = the_end(order, deliveries)

    assert end[2] == ("completed", "bounced", "won", "")
    assert {status for _, status in end[3]} == {"active"}
    assert end[4] == (("refund_returned", 18_00),)
    assert end[6:] == (0, ())


@pytest.mark.parametrize(
    ("refund_minor", "dispute_minor", "standing", "licence"),
    [(7_01, 12_99, "completed", "active"), (18_00, 25_00, "refunded", "revoked")],
)
def test_all_720_orders_with_a_lost_dispute_end_the_same(sandbox, refund_minor, dispute_minor, standing, licence):
    order = two_sellers_order()
    deliveries = six_deliveries(order, refund_minor=refund_minor, dispute_minor=dispute_minor, ends="lost")

    end = the_end(order, deliveries)

    assert end[2] == (standing, "bounced", "lost", "bank")
    assert {status for _, status in end[3]} == {licence}
    assert (("order_disputed_in_part", dispute_minor) in end[4]) == (standing == "completed")
    assert ("dispute_exceeds_payment", dispute_minor - 18_00) in end[4] or dispute_minor <= 18_00
    assert end[6:] == (0, ())


def test_all_720_orders_with_an_external_refund_end_the_same(sandbox):
    order = two_sellers_order()

    end = the_end(order, six_deliveries_of_an_external_refund(order, refund_minor=7_01, dispute_minor=18_00))

    assert end[2] == ("completed", "bounced", "won", "")
    assert end[4] == (("refund_returned", 7_01),)
    assert end[6:] == (0, ())

"""The same facts in any order end the same: the proof that neither the ledger nor a status depends on the arrival."""

from collections import Counter

import pytest
from django.db import transaction
from django.db.models.functions import Now

from connect.models import SellerTransfer
from connect.settlement.reconcile_seller import net_paid
from marketplace.allocation import accounts_of, remaining_shares, split
from marketplace.models import License, Order, OrderItem
from marketplace.refunds import create_refund_lines
from payments import tasks
from payments.inbox.intake import IncomingDelivery, receive_delivery
from payments.ledger.postings import balances
from payments.models import Dispute, Payment, Refund, WebhookDelivery
from payments.webhooks import HANDLERS, read_event
from tests.buying import dispute_object, envelope, payment_object, payment_of, refund_object, two_sellers_order
from veza.backoffice.proof import prove_payment
from veza.core.models import ReviewItem

pytestmark = pytest.mark.django_db
HOUR = "2026-08-12T{:02d}:00:00.000Z"


def refund_made_beforehand(order: Order, amount_minor: int) -> Refund:
    parts = split(amount_minor, remaining_shares(list(OrderItem.objects.filter(order=order).order_by("pk"))))
    refund = Refund.objects.create(
        payment=payment_of(order),
        correlation_id=order.pk,
        amount_minor=amount_minor,
        currency=order.currency,
        allocation=accounts_of(parts),
        source=Refund.Source.BUYER,
    )
    with transaction.atomic():
        create_refund_lines(refund, parts)
    return refund


def six_deliveries(order: Order, *, refunded: int, disputed: int, ends: str) -> list[bytes]:
    payment, refund = payment_of(order), refund_made_beforehand(order, refunded)
    dispute = {"payment": payment, "amount_minor": disputed}
    return [
        envelope("payment_processing", payment_object(payment, status="processing", updated=HOUR.format(1))),
        envelope("payment_succeeded", payment_object(payment, updated=HOUR.format(2))),
        envelope("refund_succeeded", refund_object(refund, updated_at=HOUR.format(3))),
        envelope("refund_failed", refund_object(refund, status="failed", updated_at=HOUR.format(4))),
        envelope("dispute_opened", dispute_object(**dispute, status="dispute_opened")),
        envelope(f"dispute_{ends}", dispute_object(**dispute, status=f"dispute_{ends}")),
    ]


def with_a_dashboard_refund(order: Order, *, refunded: int, disputed: int) -> list[bytes]:
    """A refund that was made past us, in doubt, done, and sent back; a dispute that is won."""
    payment = payment_of(order)
    there = {"refund_id": "ref_there", "payment_id": payment.provider_key, "amount": refunded, "currency": "EUR"}
    dispute = {"payment": payment, "amount_minor": disputed}
    return [
        envelope("payment_succeeded", payment_object(payment, updated=HOUR.format(1))),
        envelope("refund_succeeded", there | {"status": "review", "updated_at": HOUR.format(2)}),
        envelope("refund_succeeded", there | {"status": "succeeded", "updated_at": HOUR.format(3)}),
        envelope("refund_failed", there | {"status": "failed", "updated_at": HOUR.format(4)}),
        envelope("dispute_opened", dispute_object(**dispute, status="dispute_opened")),
        envelope("dispute_won", dispute_object(**dispute, status="dispute_won")),
    ]


def arrive(raw: bytes) -> None:
    arrived = IncomingDelivery("hyperswitch", raw, signature_valid=True, source_ip=None, user_agent="", request_id="")
    assert receive_delivery(arrived, parse_event=read_event, handlers=HANDLERS, rejection=None).http_status == 200


# What a row's identity and the clock add to it; no rule reads these of rows that are made on the way.
PASSING = {"id", "posting_batches", "refund_deadline"}
READ_BY_RULES = (Payment, Refund, Dispute, Order, License, SellerTransfer)


class Walk:
    """All orders of the deliveries, as a tree: those that begin alike share their beginning.

    A state that was reached before (after the same deliveries, every row a rule could read equal) goes on as it did
    then, so it is walked once and its ends are counted again.
    """

    def __init__(self, order: Order, deliveries: list[bytes]) -> None:
        self.order, self.deliveries, self.known = order, deliveries, {}

    def ends(self, arrived: tuple[int, ...] = ()) -> Counter:
        """How many orders of what has not arrived yet end in which state."""
        key = (frozenset(arrived), self._state())
        if key not in self.known:
            self.known[key] = self._walk_on(arrived)
        return self.known[key]

    def _walk_on(self, arrived: tuple[int, ...]) -> Counter:
        found = Counter()
        left = [number for number in range(len(self.deliveries)) if number not in arrived]
        for number in left:
            before = transaction.savepoint()
            arrive(self.deliveries[number])
            handle_what_waited()
            found += self.ends((*arrived, number))
            transaction.savepoint_rollback(before)
        return found if left else Counter([self._end()])

    def _state(self) -> str:
        rows = {model.__name__: sorted(map(_lasting, model.objects.values())) for model in READ_BY_RULES}
        # What waits falls due in one moment, so in which order it is handled then is open anyway.
        waiting = WebhookDelivery.objects.filter(next_attempt_at__isnull=False).values_list("event_id", flat=True)
        return repr((rows, open_cases(), sorted(balances().items()), sorted(waiting)))

    def _end(self) -> tuple:
        """What it came to."""
        payment, refund, dispute = payment_of(self.order), Refund.objects.get(), Dispute.objects.get()
        keeps = Counter()
        for row in SellerTransfer.objects.filter(order=self.order):
            keeps[str(row.seller_id)] += net_paid(row)
        return (
            tuple(sorted((key, amount) for key, amount in balances().items() if amount)),
            (payment.status, payment.received_minor, payment.refunded_minor, payment.disputed_minor),
            (Order.objects.get().status, refund.status, dispute.status, dispute.funds_location),
            tuple(sorted(License.objects.values_list("item_id", "status"))),
            tuple(open_cases()),
            tuple(sorted(keeps.items())),
            WebhookDelivery.objects.filter(next_attempt_at__isnull=False).count(),
            tuple(prove_payment(payment).differences),
        )


def handle_what_waited() -> None:
    """Our own sweep, when something has become due."""
    if WebhookDelivery.objects.filter(next_attempt_at__lte=Now()).exists():
        tasks.retry_deliveries()


def _lasting(row: dict) -> str:
    return repr(sorted((name, str(value)) for name, value in row.items() if name not in PASSING and name[-3:] != "_at"))


def open_cases() -> list:
    return sorted(ReviewItem.objects.filter(closed_at=None).values_list("kind", "amount_minor"))


def the_end(order: Order, deliveries: list[bytes]) -> tuple:
    [(end, orders)] = Walk(order, deliveries).ends().items()
    assert orders == 720
    return end


def test_all_720_orders_with_a_dispute_that_is_won_end_the_same(sandbox):
    order = two_sellers_order()
    deliveries = six_deliveries(order, refunded=18_00, disputed=18_00, ends="won")

    end = the_end(order, deliveries)

    assert end[2] == ("completed", "bounced", "won", "")
    assert {status for _, status in end[3]} == {"active"}
    assert end[4] == (("refund_returned", 18_00),)
    assert end[6:] == (0, ())


@pytest.mark.parametrize(
    ("refunded", "disputed", "standing", "licence"),
    [(7_01, 12_99, "completed", "active"), (18_00, 25_00, "refunded", "revoked")],
)
def test_all_720_orders_with_a_dispute_that_is_lost_end_the_same(sandbox, refunded, disputed, standing, licence):
    order = two_sellers_order()
    deliveries = six_deliveries(order, refunded=refunded, disputed=disputed, ends="lost")

    end = the_end(order, deliveries)

    assert end[2] == (standing, "bounced", "lost", "bank")
    assert {status for _, status in end[3]} == {licence}
    assert (("order_disputed_in_part", disputed) in end[4]) == (standing == "completed")
    assert ("dispute_exceeds_payment", disputed - 18_00) in end[4] or disputed <= 18_00
    assert end[6:] == (0, ())


def test_all_720_orders_with_a_refund_made_at_the_dashboard_end_the_same(sandbox):
    order = two_sellers_order()

    end = the_end(order, with_a_dashboard_refund(order, refunded=7_01, disputed=18_00))

    assert end[2] == ("completed", "bounced", "won", "")
    assert end[4] == (("refund_returned", 7_01),)
    assert end[6:] == (0, ())

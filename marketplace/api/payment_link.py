"""The link in an e-mail on which a buyer pays an unpaid order, without logging in."""

from uuid import UUID

from marketplace.messages.unpaid import PAYMENT_LINK
from marketplace.models import Order
from marketplace.order_payments import request_payment
from payments.api.payment_link import PaymentLinkPage
from veza.core.causes import Cause
from veza.core.ids import new_id


class OrderPaymentLink(PaymentLinkPage[Order]):
    signer, template = PAYMENT_LINK, "pay_order.html"

    def find(self, key: UUID) -> Order | None:
        return Order.objects.select_related("buyer").filter(pk=key).first()

    def language_of(self, row: Order) -> str:
        return row.buyer.language

    def request_page(self, row: Order) -> str:
        return request_payment(order_id=row.pk, payment_id=new_id(), cause=Cause("user", id=row.buyer_id)).payment_url
